"""`python -m deepclarity`."""

from deepclarity.cli.app import main

if __name__ == "__main__":
    main()
