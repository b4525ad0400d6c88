"""What TaskFlow's own conductor runs in tests/taskflow/main.rs."""

from taskflow import task
from taskflow.patterns import linear_flow


class Greet(task.Task):
    default_provides = "greeting"

    def execute(self):
        return "hello"


def greet():
    return linear_flow.Flow("greet").add(Greet())
