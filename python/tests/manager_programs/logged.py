"""Logging of workers through a queue, by a listener and by dictConfig."""

import logging
import logging.config
import logging.handlers
import multiprocessing


def work(queue, number):
    logger = logging.getLogger()
    logger.handlers = [logging.handlers.QueueHandler(queue)]
    logger.setLevel(logging.INFO)
    logger.info("from worker %d", number)


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


def main():
    context = multiprocessing.get_context("spawn")
    manager = multiprocessing.Manager()
    queue, kept = manager.Queue(), Kept()
    listener = logging.handlers.QueueListener(queue, kept)
    listener.start()
    workers = [context.Process(target=work, args=(queue, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    listener.stop()
    print(sorted(kept.texts))
    handlers = {"queue": {"class": "logging.handlers.QueueHandler", "queue": queue}}
    logging.config.dictConfig({"version": 1, "handlers": handlers, "root": {"handlers": ["queue"], "level": "INFO"}})
    logging.getLogger().info("by dictConfig")
    print(queue.get(timeout=60).getMessage())


if __name__ == "__main__":
    main()
