"""A quantile of a stream of numbers in constant memory (the P-square algorithm of Jain and
Chlamtac, Communications of the ACM 28/10, 1985)."""

from __future__ import annotations

from bisect import bisect_right

__all__ = ("StreamingQuantile",)


class StreamingQuantile:
    """An estimate of the `quantile` (0 to 1) of what was added: five numbers in order, of which the
    middle one follows the quantile, and how many numbers lie below each."""

    __slots__ = ("_desired", "_heights", "_increments", "_positions", "count")

    def __init__(self, quantile: float) -> None:
        self.count = 0
        self._heights: list[float] = []
        self._positions = [0.0, 1.0, 2.0, 3.0, 4.0]
        self._increments = (0.0, quantile / 2, quantile, (1 + quantile) / 2, 1.0)
        self._desired = [4 * increment for increment in self._increments]

    @property
    def value(self) -> float:
        """The estimate; of fewer than five numbers, their greatest; of none, 0."""
        if self.count > 5:
            return self._heights[2]
        return max(self._heights, default=0.0)

    def add(self, number: float) -> None:
        """Count one more number."""
        self.count += 1
        heights, positions = self._heights, self._positions
        if self.count <= 5:
            heights.append(number)
            heights.sort()
            return
        heights[0] = min(heights[0], number)
        heights[4] = max(heights[4], number)
        cell = min(bisect_right(heights, number), 4)
        for index in range(cell, 5):
            positions[index] += 1
        for index, increment in enumerate(self._increments):
            self._desired[index] += increment
        for index in (1, 2, 3):
            self._adjust(index)

    def _adjust(self, i: int) -> None:
        """Move a marker by one position where it has fallen behind, or is ahead."""
        heights, positions = self._heights, self._positions
        distance = self._desired[i] - positions[i]
        if distance >= 1 and positions[i + 1] - positions[i] > 1:
            step = 1
        elif distance <= -1 and positions[i - 1] - positions[i] < -1:
            step = -1
        else:
            return
        below, here, above = positions[i - 1 : i + 2]
        rise = (heights[i + 1] - heights[i]) / (above - here)
        fall = (heights[i] - heights[i - 1]) / (here - below)
        height = heights[i] + step / (above - below) * (
            (here - below + step) * rise + (above - here - step) * fall
        )
        if not heights[i - 1] < height < heights[i + 1]:  # the parabola overshoots: a line
            neighbour = i + step
            height = heights[i] + step * (heights[neighbour] - heights[i]) / (
                positions[neighbour] - here
            )
        heights[i] = height
        positions[i] += step
