//! The terminal: keys in, lines out.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use anyhow::Result;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::Paragraph;

use super::signals::Terminal;
use super::{Sort, Source, State, View, screen};

/// How long keys may wait for a glance at the clock.
const LONGEST: Duration = Duration::from_millis(500);

/// Shows the state until `q`. The terminal is put back whatever happens, panics and signals included.
pub(super) fn run(mut source: Source, mut state: State) -> Result<()> {
    let (taken, mut terminal) = Terminal::take()?;
    let done = shown(&taken, &mut terminal, &mut source, &mut state);
    taken.leave();
    done
}

fn shown(
    taken: &Terminal,
    terminal: &mut DefaultTerminal,
    source: &mut Source,
    state: &mut State,
) -> Result<()> {
    loop {
        let drawing = taken.lock();
        if taken.is_lost() {
            // Not `clear`, which asks the terminal where its cursor is.
            terminal.swap_buffers();
        }
        terminal.draw(|frame| {
            let area = frame.area();
            let shown = screen::lines(state, area.width.into(), area.height.into());
            // Bold and reversed work on every terminal, and need no colour.
            let styled = shown
                .lines
                .into_iter()
                .enumerate()
                .map(|(number, line)| match number {
                    0 => Line::styled(line, Style::new().add_modifier(Modifier::BOLD)),
                    number if number == shown.columns => {
                        Line::styled(line, Style::new().add_modifier(Modifier::REVERSED))
                    }
                    _ => Line::raw(line),
                });
            frame.render_widget(Paragraph::new(styled.collect::<Text>()), area);
        })?;
        drop(drawing);
        let until = source.next.saturating_duration_since(Instant::now());
        if event::poll(until.clamp(Duration::from_millis(10), LONGEST))?
            && let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
            && !pressed(key.code, key.modifiers, state)
        {
            return Ok(());
        }
        source.refresh(state);
    }
}

/// Whether to go on.
fn pressed(code: KeyCode, modifiers: KeyModifiers, state: &mut State) -> bool {
    let toggled = |view: View, state: &State| {
        if state.view == view {
            View::Processes
        } else {
            view
        }
    };
    match code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        // In raw mode Ctrl-C is a key.
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('s') => state.sort = state.sort.next(),
        KeyCode::Char('t') => state.sort = Sort::Tree,
        KeyCode::Char('v' | 'm') => state.view = toggled(View::Mappings, state),
        KeyCode::Char('o') => state.view = toggled(View::Objects, state),
        KeyCode::Char('p' | ' ') => state.paused = !state.paused,
        _ => {}
    }
    true
}
