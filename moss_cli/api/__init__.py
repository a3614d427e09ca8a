"""From Python: `from moss_cli import Moss`. What the commands' options mean is decided here, too."""
