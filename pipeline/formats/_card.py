"""What formats' lines for the card share."""

from collections.abc import Callable

from .dimensions import Dimensions


def rows_of_step(dimensions: Dimensions, step: str) -> Callable[[str], str]:
    """Returns what gives the words for a step's rows of an array (input.<name>, target.<name>) in
    `data`: where a dimension varies, they end where the step's longest row does.

    `step` is the variable that counts the steps, and `rows` the one that says which rows are its.
    """

    def words(array: str) -> str:
        axes, sizes = list(dimensions.of(array)), f'data["size.{array}"]'
        if axes in ([], [1]):
            ends = [f"{sizes}[{step}]"] if axes else []
        else:
            ends = [f"{sizes}[{step}, {axis}]" for axis in range(max(axes))]
        return f'data["{array}"][{", ".join(["rows", *(f":{end}" for end in ends)])}]'

    return words
