"""What the API server has of the add-ons."""

from dataclasses import dataclass

from kubefab.facts.part import Part, each, words


@dataclass(frozen=True)
class AddonObject:
    """An object that kubefab has labelled with its add-on; `name` begins with its kind."""

    addon: str
    name: str

    @classmethod
    def read(cls, said: str) -> "AddonObject":
        addon, name = words(said, 2)
        return cls(addon, name)


@dataclass(frozen=True)
class Labelled(Part):
    addon_objects: tuple[AddonObject, ...] = each("addon_object")
    addons_told: bool = False  # whether the API server has said which there are

    def of(self, addon: str) -> list[str]:
        return [one.name for one in self.addon_objects if one.addon == addon]
