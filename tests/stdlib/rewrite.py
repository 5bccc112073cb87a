"""Make, at run time, a `test` package in which CPython's multiprocessing tests talk to MODULE.

The installed Python's own test files are read, edited and written to a scratch directory.
Only text that names the package `multiprocessing` is edited, in place and on the same line,
so line numbers in tracebacks are those of CPython's file (`run.py --keep DIR` keeps the
result for `diff`).  Nothing is patched inside any interpreter: MODULE's own
`import multiprocessing` is untouched and gives the genuine standard library.

  import multiprocessing.heap            -> import MODULE.heap, MODULE as multiprocessing
  from multiprocessing import util       -> from MODULE import util
  'multiprocessing.shared_memory._x'     -> 'MODULE.shared_memory._x'      (mock.patch targets)
  '''... import multiprocessing as mp''' -> '''... import MODULE as mp'''  (scripts run by tests)

Two leniencies, both recorded in `Tree.notes` and shown in the report:
  * a submodule which MODULE does not have stays the standard library's ("borrowed": a test
    which touches it is counted apart, never as a pass of MODULE);
  * a name which MODULE lacks and which CPython's file reads while it is being imported
    becomes a placeholder that raises AttributeError on use, so that one missing name fails
    the tests which use it instead of all tests.
With MODULE == 'multiprocessing' no edit is made.
"""

import ast
import re
from pathlib import Path

STDLIB = "multiprocessing"
ALIAS = "__stdlib_multiprocessing__"

PACKAGE_INIT = '''\
# Generated: CPython's `test` package with the edited files in front.
import os, sys
__path__ = [os.path.dirname(os.path.abspath(__file__)), {stdlib_test!r}]
for _p in {search_path!r}:          # a no-op except under `python -S`, which drops site-packages
    if _p not in sys.path:
        sys.path.append(_p)

def _missing(name):
    """Stands for a name that the module under test does not have."""
    class Meta(type):
        def __call__(cls, *args, **kwargs):
            raise AttributeError("module under test has no " + name)
    return Meta("Missing", (), {{}})
'''

WRAPPER = """\
import test._test_multiprocessing
test._test_multiprocessing.install_tests_in_module_dict(globals(), {method!r})
"""


class Source:
    """One test file, edited in place."""

    def __init__(self, text, module, probe, executor=None):
        self.text = text.encode()
        self.module, self.executor = module, executor
        self.top = set(probe["names"])  # names in MODULE itself
        self.sub = {k: set(v) for k, v in probe["submodules"].items()}  # provided submodules
        self.stdlib_sub = set(probe["stdlib_submodules"])
        self.edits, self.borrowed, self.placeholders = [], set(), set()
        self.borrowed_names = set()  # names bound to borrowed things
        self.used_attrs = set()  # X of every `multiprocessing.X`
        self.bootstrapped = False
        self.aliases = {STDLIB: []}  # module-level names of MODULE's modules
        self.line_start = [0]
        for line in self.text.splitlines(keepends=True):
            self.line_start.append(self.line_start[-1] + len(line))

    # -- what does MODULE provide? -------------------------------------------------------
    def lacks(self, name):
        """Is `multiprocessing.name` a stdlib submodule, while `import MODULE.name` fails?"""
        return name in self.stdlib_sub and name not in self.sub

    def resolves(self, parts):
        """Can MODULE.parts[0].parts[1] be read, as far as the probe can tell?"""
        if parts[0] in self.sub:
            return len(parts) == 1 or parts[1] in self.sub[parts[0]]
        return parts[0] in self.top

    # -- editing ------------------------------------------------------------------------
    def span(self, node):
        return (
            self.line_start[node.lineno - 1] + node.col_offset,
            self.line_start[node.end_lineno - 1] + node.end_col_offset,
        )

    def replace(self, node, new):
        self.edits.append((*self.span(node), new.encode()))

    def replace_statement(self, node, new):
        self.replace(node, new + "\n" * (node.end_lineno - node.lineno))  # keep line numbers

    def result(self):
        tree = ast.parse(self.text)
        if self.module != STDLIB or self.executor:
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == STDLIB:
                    self.used_attrs.add(node.attr)
            self.visit(tree, importing=True)
        out = self.text
        for start, end, new in sorted(self.edits, reverse=True):
            out = out[:start] + new + out[end:]
        ast.parse(out)
        return out.decode()

    def visit(self, node, importing):
        """importing: is this code run while the test file is being imported?"""
        if isinstance(node, ast.Import):
            return self.edit_import(node, importing)
        if isinstance(node, ast.ImportFrom):
            return self.edit_import_from(node, importing)
        if isinstance(node, ast.Attribute) and self.edit_attribute(node, importing):
            return
        if isinstance(node, ast.JoinedStr):
            return  # no script is an f-string; positions unreliable < 3.12
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self.edit_string(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # docstring
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for child in getattr(node, "decorator_list", []) + node.args.defaults:
                self.visit(child, importing)
            for child in node.body if isinstance(node.body, list) else [node.body]:
                self.visit(child, importing=False)
            return
        for child in ast.iter_child_nodes(node):
            self.visit(child, importing)

    def edit_import(self, node, importing):
        if self.module == STDLIB or not any(a.name.split(".")[0] == STDLIB for a in node.names):
            return
        new = []
        if importing and not self.bootstrapped:
            # First import: also load the submodules that CPython's package imports by itself
            # (`multiprocessing.process`, ...), and name the genuine package for borrowing.
            self.bootstrapped = True
            new += [f"{self.module}.{s}" for s in sorted(self.used_attrs & set(self.sub))]
            if any(self.lacks(a) for a in self.used_attrs):
                new += [f"{STDLIB}.{a}" for a in sorted(self.used_attrs) if self.lacks(a)]
                new.append(f"{STDLIB} as {ALIAS}")
        for a in node.names:
            head, _, sub = a.name.partition(".")
            if head != STDLIB:
                new.append(a.name + (f" as {a.asname}" if a.asname else ""))
            elif sub and self.lacks(sub):
                self.borrowed.add(sub)
                if a.asname:
                    self.borrowed_names.add(a.asname)
                    new.append(f"{a.name} as {a.asname}")
                else:
                    new += [a.name, f"{self.module} as {STDLIB}"]
            elif a.asname:
                new.append(f"{self.module}{'.' + sub if sub else ''} as {a.asname}")
            else:
                new += [f"{self.module}.{sub}"] * bool(sub) + [f"{self.module} as {STDLIB}"]
        self.replace_statement(node, "import " + ", ".join(new))

    def edit_import_from(self, node, importing):
        head, _, sub = (node.module or "").partition(".")
        if self.module == STDLIB or node.level or head != STDLIB:
            return
        lines = []
        for a in node.names:
            bound = a.asname or a.name
            as_ = f" as {a.asname}" if a.asname else ""
            target = sub or a.name
            if self.lacks(target):
                self.borrowed.add(target)
                self.borrowed_names.add(bound)
                lines.append(f"from {node.module} import {a.name}{as_}")
            elif importing and not self.resolves([sub, a.name] if sub else [a.name]):
                self.placeholders.add(f"{node.module}.{a.name}")
                lines.append(f'{bound} = __import__("test")._missing("{node.module}.{a.name}")')
            else:
                if importing and not sub and a.name in self.sub:
                    self.aliases[bound] = [a.name]
                source = self.module + ("." + sub if sub else "")
                lines.append(f"from {source} import {a.name}{as_}")
        self.replace_statement(node, "; ".join(lines))

    def edit_attribute(self, node, importing):
        """True when the whole chain below node has been dealt with."""
        parts, base = [], node
        while isinstance(base, ast.Attribute):
            parts.insert(0, base.attr)
            base = base.value
        if not isinstance(base, ast.Name):
            return False
        if base.id == "futures" and parts == ["ProcessPoolExecutor"] and self.executor:
            where, cls = self.executor
            self.replace(node, f'__import__("{where}", fromlist=["{cls}"]).{cls}')
            return True
        if base.id not in self.aliases or self.module == STDLIB:
            return False
        parts = self.aliases[base.id] + parts
        if self.lacks(parts[0]):
            self.borrowed.add(parts[0])
            self.replace(base, ALIAS)
        elif importing and not self.resolves(parts):
            dotted = f"{STDLIB}.{'.'.join(parts)}"
            self.placeholders.add(dotted)
            self.replace(node, f'__import__("test")._missing("{dotted}")')
        return True

    def edit_string(self, node):
        start, end = self.span(node)
        raw = self.text[start:end].decode()
        if self.executor:
            raw = re.sub(
                r"from concurrent\.futures import \{executor_type\}",
                f"from {self.executor[0]} import {{executor_type}}",
                raw,
            )
        if self.module != STDLIB:
            raw = self.edit_string_text(raw, node.value)
        if raw.encode() != self.text[start:end]:
            self.edits.append((start, end, raw.encode()))

    def edit_string_text(self, raw, value):
        if re.fullmatch(r"multiprocessing(\.\w*)*", value):  # a dotted name
            parts = value.split(".")
            if len(parts) > 2 and self.lacks(parts[1]):
                self.borrowed.add(parts[1])
                return raw
            return raw.replace(STDLIB, self.module, 1)

        def from_import(m):  # code in a string
            sub = m[1].lstrip(".")
            names = [sub] if sub else [n.strip() for n in m[2].split(",")]
            if all(self.lacks(n) for n in names):
                self.borrowed.update(names)
                return m[0]
            return f"from {self.module}{m[1]} import {m[2]}"

        def plain_import(m):
            sub = m[1].lstrip(".")
            if sub and self.lacks(sub):
                self.borrowed.add(sub)
                return m[0]
            if m[2]:
                return f"import {self.module}{m[1]}{m[2]}"
            return f"import {self.module + m[1] + ', ' if sub else ''}{self.module} as {STDLIB}"

        raw = re.sub(r"\bfrom multiprocessing((?:\.\w+)*) import (\w+(?:, *\w+)*)", from_import, raw)
        raw = re.sub(r"\bimport multiprocessing\b((?:\.\w+)*)( as \w+)?", plain_import, raw)
        return re.sub(r"""(["'])multiprocessing\1(?= (?:not )?in sys\.modules)""", rf"\g<1>{self.module}\1", raw)


class Tree:
    """The generated `test` package."""

    def __init__(self, dest, test_lib, module, probe, executor=None):
        self.dest, self.test_lib = Path(dest, "test"), Path(test_lib)
        self.module, self.probe, self.executor = module, probe, executor
        self.borrowed, self.placeholders, self.borrowed_names = set(), set(), set()
        self.dest.mkdir(parents=True)
        self.write("__init__.py", PACKAGE_INIT.format(stdlib_test=str(test_lib), search_path=probe["path"]))

    def write(self, name, text):
        path = self.dest / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, name):
        text = (self.test_lib / name).read_text(encoding="utf-8")
        src = Source(text, self.module, self.probe, self.executor)
        self.write(name, src.result())
        self.borrowed |= src.borrowed
        self.placeholders |= src.placeholders
        self.borrowed_names |= src.borrowed_names | ({ALIAS} if src.borrowed else set())

    def add_multiprocessing(self, method):
        """Write the files for one start method; return the names of the test modules."""
        for name in "_test_multiprocessing", "test_multiprocessing_main_handling", "mp_fork_bomb", "mp_preload":
            self.edit(f"{name}.py")
        wrapper = "test_multiprocessing_" + re.sub(r"\W", "_", method)
        self.write(wrapper + ".py", WRAPPER.format(method=method))
        return ["test." + wrapper, "test.test_multiprocessing_main_handling"]

    def add_futures(self):
        package = self.test_lib / "test_concurrent_futures"
        if package.is_dir():  # 3.12 on
            names = sorted(file.stem for file in package.glob("*.py"))
            for name in names:
                self.edit(f"test_concurrent_futures/{name}.py")
            tests = [n for n in names if n.startswith("test_") and n not in ("test_thread_pool", "test_future")]
            return [f"test.test_concurrent_futures.{n}" for n in tests]
        if not package.with_suffix(".py").exists():
            raise SystemExit(
                "this Python was installed without test_concurrent_futures (so are 3.11.7 "
                "and 3.12.1): use 3.10 or 3.13, or --test-lib CPYTHON_CHECKOUT/Lib/test"
            )
        self.edit("test_concurrent_futures.py")
        return ["test.test_concurrent_futures"]
