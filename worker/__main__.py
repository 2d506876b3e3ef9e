"""`python -m worker` is `b24sync`."""

from worker.cli import main

if __name__ == "__main__":
    main()
