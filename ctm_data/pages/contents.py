"""What a page can show of a run, or of two side by side: lists, and all of one entry of a list."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ctm_data.pages import lists
from ctm_data.pages.answers import answers
from ctm_data.pages.trajectories import name_tokens, trajectories
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Contents:
    """The lists of the run of `store`, as tables of `con`, a connection over it and over `other`.

    A list has the first `limit` of its entries. A run with rolled-out solutions has a list of those, and,
    with `everything`, one of its problems with all samples. Raises CtmError if there is nothing to show, or
    parts cannot be read.
    """

    def __init__(
        self,
        con: "DuckDBPyConnection",
        store: Store,
        other: Store | None = None,
        *,
        limit: int | None = None,
        everything: bool = False,
    ) -> None:
        self._con = con
        self._store, self._other = store, other
        self.lists = {of.name: of for of in _lists(store, other, everything)}
        self.left_out = 0
        with lists.readable():
            for of in self.lists.values():
                count = lists.make(con, of, limit)
                self.left_out += max(0, count - (limit or count))
            if "trajectories" in self.lists:
                name_tokens(con)

    def described(self) -> dict[str, Any]:
        """What the page is told of the run and its lists."""
        name = self._store.folder.resolve().name
        if self._other is not None:
            name = f"{name} → {self._other.folder.resolve().name}"
        return {
            "name": name,
            "facts": self._facts(),
            "whole": "The run" if self._other is None else "Both runs",
            "lists": [
                {
                    "name": of.name,
                    "title": of.title,
                    "search": of.search,
                    "filters": lists.choices(self._con, of),
                    "orders": [vars(order) for order in of.orders],
                }
                for of in self.lists.values()
            ],
        }

    def listed(
        self,
        name: str,
        asked: Mapping[str, str] | None = None,
        *,
        start: int = 0,
        count: int | None = None,
        around: str | None = None,
    ) -> dict[str, Any]:
        """A page of a list: see `lists.listed`. Can be called from several threads at once."""
        with lists.readable(), self._con.cursor() as con:
            return lists.listed(
                con, self.lists[name], asked, start=start, count=count, around=around
            )

    def whole(self, name: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """All that is shown of entries of a list, by id. Can be called from several threads at once."""
        recipe = self._store.manifest["recipe"]
        with lists.readable(), self._con.cursor() as con:
            if name == lists.TRAJECTORIES.name:
                return trajectories(con, ids, int(recipe.get("n_rollouts") or 0))
            stores = [self._store, *([self._other] if self._other else [])]
            return answers(con, ids, [str(store.folder) for store in stores])

    def _facts(self) -> str:
        """The run, or what changed between two, in a line."""
        if self._other is not None:
            counts = self._con.execute(
                "select outcome, count(*) from pairs group by outcome order by 2 desc, 1"
            ).fetchall()
            total = sum(n for _, n in counts)
            told = [f"{total:,} problems in common", *(f"{n:,} {outcome}" for outcome, n in counts)]
            return " · ".join(told)
        sql = """
select (select count(*) from problems), count(*), avg(correct::integer),
    (select count(*) from rollouts), (select count(critical_index) from rollouts)
from solutions
"""
        [(problems, solutions, right, rolled, critical)] = self._con.execute(sql).fetchall()
        facts = [f"{problems:,} problems"]
        if solutions:
            graded = "not graded" if right is None else f"{right:.1%} correct"
            facts.append(f"{solutions:,} solutions, {graded}")
        if rolled:
            facts.append(f"{rolled:,} rolled out · {critical:,} critical tokens")
        if self.left_out:
            facts.append(f"{self.left_out:,} more are not on this page")
        return " · ".join(facts)


def _lists(store: Store, other: Store | None, everything: bool) -> list[lists.List]:
    if other is not None:
        return [lists.paired_problems(str(store.folder), str(other.folder))]
    if store.parts("rollouts"):
        return [lists.TRAJECTORIES, *([lists.PROBLEMS] if everything else [])]
    if store.parts("solutions"):
        return [lists.PROBLEMS]
    raise CtmError(f"{store.name} has no solutions yet; run the command that made it again")
