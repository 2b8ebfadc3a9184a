"""What is built: for the two machines of `make up`, for all that the tests try besides, for the guide's stack, and for
other versions of Kubernetes.
"""

from collections.abc import Sequence

from lab import distribution, guide, images, manifests, packages, versions
from lab.parts import Part

BASIC = (packages.PART, images.PART, manifests.PART, distribution.MACHINE, distribution.REGISTRY)
# Docker's cri-dockerd and the add-ons.
EVERYTHING = (*BASIC, packages.CRI_DOCKERD_PART, images.ALL, manifests.ALL)


def parts(stack: str, everything: bool, kubernetes: Sequence[str] = ()) -> Sequence[Part]:
    return (
        *(EVERYTHING if everything else BASIC),
        *(guide.PARTS if stack == "guide" else ()),
        *versions.parts(kubernetes, everything or images.ALL.cached),
    )
