//! `onecopy report` on processes that want to be seen as something else, or have nothing to show.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

fn onecopy(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_onecopy"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A shell that gives itself a name, as `PR_SET_NAME` would; killed in the end.
struct Named(Child);

impl Named {
    fn start(name: &str) -> Self {
        let mut child = Command::new("/bin/sh")
            .args([
                "-c",
                "printf %s \"$1\" > /proc/$$/comm; echo named; read line; exit",
                "sh",
                name,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "named\n");
        let comm = fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap();
        assert_eq!(comm.trim_end_matches('\n'), name.trim_end_matches('\n'));
        Self(child)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // One that has gone already is just as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_name_with_commands_for_terminals_is_shown_and_not_obeyed() {
    let named = Named::start("\u{1b}[2J\nx,\"<q>");
    let pid = named.0.id().to_string();
    for format in ["text", "csv", "html", "json", "jsonl"] {
        let report = onecopy(&["report", &pid, "--format", format]);
        let obeyed = |character: char| character.is_control() && character != '\n';
        assert!(!report.contains(obeyed), "{format}: {report}");
        assert!(report.contains("[2J"), "{format}: {report}");
        assert!(!report.contains("<q>") || format != "html", "{report}");
    }
    let csv = onecopy(&["report", &pid, "--format", "csv"]);
    assert_eq!(csv.lines().count(), 2, "{csv}");
    let text = onecopy(&["report", &pid]);
    assert!(text.contains("\\u{1b}[2J\\nx"), "{text}");
    assert!(!onecopy(&["top", &pid]).contains('\u{1b}'));
}

#[test]
fn kernel_threads_are_named_as_such() {
    let name = fs::read_to_string("/proc/2/comm").unwrap_or_default();
    if name != "kthreadd\n" {
        skip::skipped("process 2 is not kthreadd here, as in most containers");
        return;
    }
    let text = onecopy(&["report", "2"]);
    let line = "process 2 (kthreadd) is a kernel thread: it has no memory of its own";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("no processes with memory"), "{text}");
    assert!(!text.contains("went away"), "{text}");
    assert!(onecopy(&["report", "2", "--format", "html"]).contains(line));
}

#[test]
fn the_page_has_a_row_for_each_label_and_all_its_tables_end() {
    let named = Named::start("in a page");
    let page = onecopy(&["report", &named.0.id().to_string(), "--format", "html"]);
    for tag in ["table", "tr", "td", "div", "svg"] {
        let begun =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(begun, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let (_, table) = page.split_once("<h2>Mappings</h2>").unwrap();
    let (table, _) = table.split_once("</table>").unwrap();
    // What is shown of a long name may be that of another, too.
    let rows = table.split("<tr><td title=\"").skip(1);
    let mut labels: Vec<&str> = rows.map(|row| row.split_once('"').unwrap().0).collect();
    let count = labels.len();
    labels.sort_unstable();
    labels.dedup();
    assert!(count > 3 && labels.len() == count, "{table}");
}

#[test]
fn a_tree_that_may_not_be_looked_into_is_an_error_that_says_who_may() {
    if !rustix::process::geteuid().is_root() {
        skip::skipped("only root can become somebody else");
        return;
    }
    // The program's folder may be closed to nobody.
    let program = std::env::temp_dir().join(format!("onecopy-nobody-{}", std::process::id()));
    // By another process: a child that another test forks meanwhile would keep ours open for writing, and a program that
    // is written to cannot be started.
    let mut copy = Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_onecopy")).arg(&program);
    assert!(copy.status().unwrap().success());
    // Not this process: what is started below would be a part of its tree that can be read.
    let named = Named::start("roots");
    let pid = named.0.id().to_string();
    for command in ["report", "top", "why"] {
        let output = Command::new("setpriv")
            .args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"])
            .arg(&program)
            .args([command, &pid])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        let expected = format!(
            "onecopy: process {pid} belongs to another user: run as that user or as root\n"
        );
        assert_eq!(said, expected, "{command}");
        assert!(output.stdout.is_empty(), "{command}");
    }
    fs::remove_file(program).unwrap();
}
