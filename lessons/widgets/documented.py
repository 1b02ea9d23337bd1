"""What a dataclass says about its fields, so that a control tells the reader what the code tells its readers."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from itertools import pairwise


@functools.cache
def field_docs(kind: type) -> dict[str, str]:
    """The string below each annotated field, on one line; fields without one are left out."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body
    return {
        field.target.id: inspect.cleandoc(told.value.value).replace("\n", " ")
        for field, told in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(told, ast.Expr)
        if isinstance(told.value, ast.Constant) and isinstance(told.value.value, str)
    }
