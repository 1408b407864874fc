"""Parameters that several calls share, written once.

A TypedDict lists them for the type checker (`**study: Unpack[Study]`), and `spelled` writes them into the signature of
a method, so that `help()` and a notebook's completion name each.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

from .parameters import Network, Optimizer, Rule, Task, Training

F = TypeVar("F", bound=Callable[..., Any])


def spelled(parts: type[Any], others: bool = False, **defaults: Any) -> Callable[[F], F]:
    """Shows the members of `parts` in the place of `**parts`: with `defaults`, else None. others: it takes any other
    parameter, too."""

    def spell(function: F) -> F:
        signature = inspect.signature(function)
        kinds = inspect.Parameter
        own = [one for one in signature.parameters.values() if one.kind is not kinds.VAR_KEYWORD]
        own += [
            kinds(name, kinds.KEYWORD_ONLY, default=defaults.get(name), annotation=hint.__forward_arg__)
            for name, hint in parts.__annotations__.items()
        ]
        own += [kinds("others", kinds.VAR_KEYWORD, annotation="Any")] if others else []
        function.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        return function

    return spell


def check_known(given: Mapping[str, Any], parts: type[Any], call: str) -> None:
    """Raises TypeError where a member of `given` is none of `parts`, as a signature would."""
    for name in given:
        if name not in parts.__annotations__:
            raise TypeError(f"{call}() got an unexpected keyword argument {name!r}")


_SECTIONS = {
    "task": get_args(Task),
    "network": (Network,),
    "rule": get_args(Rule),
    "optimizer": get_args(Optimizer),
    "training": (Training,),
}


def _meant(name: str) -> str:
    """ "; did you mean training={'iterations': ...}?" of a field that one section of a job has; else nothing."""
    found = [section for section, parts in _SECTIONS.items() if any(name in part.__annotations__ for part in parts)]
    kind = "'type': ..., " if found in (["task"], ["rule"]) else ""
    return f"; did you mean {found[0]}={{{kind}{name!r}: ...}}?" if len(found) == 1 else ""


def takes_sections(function: F) -> F:
    """Of a method that takes the sections of a job: names the section where a field of one is given beside them."""
    known = inspect.signature(function).parameters

    def check(named: Mapping[str, Any]) -> None:
        for name in named:
            if name not in known:
                raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}{_meant(name)}")

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        check(named)
        return function(*given, **named)

    @functools.wraps(function)
    async def later(*given: Any, **named: Any) -> Any:  # so that it is known to be asynchronous
        check(named)
        return await function(*given, **named)

    return later if inspect.iscoroutinefunction(function) else call  # type: ignore[return-value]
