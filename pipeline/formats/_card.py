"""What formats' lines for the card share."""

from collections.abc import Callable

from .dimensions import Dimensions


def rows_of_step(dimensions: Dimensions, step: str) -> Callable[[str], str]:
    """Returns what gives the words for a step's rows of an array (input.<name>, target.<name>) in
    `data`: where a dimension varies, they end where the step's longest row does.

    `step` is the variable that counts the steps, and `rows` the one that says which rows are its.
    """

    def words(array: str) -> str:
        end = f', :data["size.{array}"][{step}]' if dimensions.of(array) else ""
        return f'data["{array}"][rows{end}]'

    return words
