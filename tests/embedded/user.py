"""A user process: opens a server, then obeys its standard input line by line, until it ends.

A line is Python in JSON, run in one namespace and answered by a line of JSON: what it left in
``answer``, or the error. Nothing is imported but what a line asks for, so that it can run without
site-packages.
"""

import json
import sys


def main() -> None:
    namespace: dict[str, object] = {}
    for line in sys.stdin:
        namespace["answer"] = None
        try:
            exec(json.loads(line), namespace)  # noqa: S102 - the tests' own lines
            said = {"answer": namespace["answer"]}
        except Exception as error:  # noqa: BLE001 - told to the test, whatever it is
            said = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(said), flush=True)  # noqa: T201


main()
