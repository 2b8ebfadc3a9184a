"""Real machines on one computer: to try kubefab on, and to test it against."""

import os

# Half of its programs are where a user's PATH does not lead on Debian, nor root's by `su`.
os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


def without_proxies(told: str) -> str:
    """A no_proxy with the lab's network (lab.settings.SUBNET) besides: no proxy of this computer's knows that."""
    names = [name for name in told.split(",") if name]
    return ",".join(names if "*" in names else dict.fromkeys([*names, "10.250.0.0/24"]))


# Of the two names most programs read the small one first, and then not the other.
_told = {name: os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")}
for _name, _own in _told.items():
    os.environ[_name] = without_proxies(_own or "".join(_told.values()))
