"""Real machines on one computer: to try kubefab on, and to test it against."""

import os

# Half of its programs are where a user's PATH does not lead on Debian, nor root's by `su`.
os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
