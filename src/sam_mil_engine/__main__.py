"""``python -m sam_mil_engine``: the same as ``sam-mil-engine``."""

from .cli.main import run

if __name__ == "__main__":
    run()
