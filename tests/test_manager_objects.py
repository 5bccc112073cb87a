"""What a manager hands out that lives in shared memory: as the standard library's proxies, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import METHODS, PYTHON, guarded, program, run

HEAD = """
import array, collections.abc, copy, gc, os, pickle, queue, signal, sys, threading, time, weakref
import allcores
from allcores import _core, managers
from multiprocessing import managers as standard

method = sys.argv[1] if len(sys.argv) > 1 else "fork"
context = allcores.get_context(method)

def in_child(function, *arguments):
    child = context.Process(target=function, args=arguments)
    child.start(); child.join()
    return child.exitcode

def tried(call, *arguments):
    try: return call(*arguments)
    except Exception as error: return f"{type(error).__name__}: {error}"

def is_ours(shared): return isinstance(shared, _core.Table)

class Own(managers.SyncManager): pass
class Counter:
    def __init__(self): self.number = 0
    def add(self, number): self.number += number; return self.number
    def fill(self, shared): shared["by the server"] = True
Own.register("Counter", Counter)
class Other(managers.SyncManager): pass
Other.register("dict", Counter)
"""


def printed(folder: Path, main: str, *arguments: str, definitions: str = "") -> list[str]:
    outcome = run([*PYTHON, program(folder, guarded(HEAD + definitions, main)), *arguments])
    assert (outcome.status, outcome.err) == (0, ""), outcome.err
    return outcome.out.splitlines()


USE = """
def use(d, ns, value, numbers, q, event, lock, condition, barrier, bounded):
    d["child"] = d["nested"]["lock"]
    ns.x += 1
    with lock, condition: condition.notify_all()
    q.put(("put", value.add(2)))
    numbers[1] = 2.5
    event.wait()
    barrier.wait()
    with bounded: pass
"""


@pytest.mark.parametrize("method", METHODS)
def test_all_types_are_used_by_children_of_every_start_method_and_no_server_is_started(
    method: str, tmp_path: Path
) -> None:
    main = """
with context.Manager() as m:
    d, ns, value, numbers = m.dict(a=1), m.Namespace(x=1), m.Value("i", 7), m.Array("d", [1, 2, 3])
    q, event, lock, condition, barrier = m.Queue(), m.Event(), m.Lock(), m.Condition(), m.Barrier(2)
    d["nested"] = m.dict(lock=m.RLock())
    event.set()
    child = context.Process(target=use, args=(d, ns, value, numbers, q, event, lock, condition, barrier,
                                              m.BoundedSemaphore(2)))
    child.start(); barrier.wait(30); child.join()
    with d["child"], d["nested"]["lock"]: pass
    print(child.exitcode, q.get(), ns, value, numbers, list(d), value.compare_exchange(9, 1), value.get())
    q.task_done(); q.join()
    if method != "fork": assert m._begun is not None, "no server"
"""
    lines = printed(tmp_path, main, method, definitions=USE)
    assert lines == [
        "0 ('put', 9) Namespace(x=2) Value('i', 1) array('d', [1.0, 2.5, 3.0]) ['a', 'nested', 'child'] True 1"
    ]


def test_they_look_as_proxies_do(tmp_path: Path) -> None:
    main = """
with allcores.Manager() as m:
    for thing in (m.dict(a=1), m.list([1]), m.set([1]), m.Namespace(a=1, _b=2), m.Value("i", 3), m.Array("i", [1]),
                  m.Lock(), m.Queue(), m.Event()):
        print(repr(thing).partition(" at ")[0], isinstance(thing, standard.BaseProxy),
              tried(copy.deepcopy, thing) if not isinstance(thing, (standard.NamespaceProxy, standard.ValueProxy))
              else copy.deepcopy(thing), copy.copy(thing) is not thing)
    d = m.dict(a=1)
    print(d, d._getvalue(), d._callmethod("__getitem__", ("a",)), d._callmethod("__repr__"), d._callmethod("#GETVALUE"))
    print(isinstance(d, collections.abc.MutableMapping), isinstance(d, standard.DictProxy), d == copy.copy(d))
    copy.copy(d)["b"] = 2
    pickle.loads(pickle.dumps(d))["c"] = 3
    print(d, tried(d._callmethod, "__class__"))
    ns = m.Namespace()
    ns._own, ns.shared = 1, [2]
    print(tried(getattr, ns, "missing"), tried(delattr, ns, "missing"),
          copy.copy(ns).shared, hasattr(copy.copy(ns), "_own"))
    it = iter(d)
    next(it); d["d"] = 4
    print(tried(next, it))
"""
    lines = printed(tmp_path, main)
    assert lines == [
        "<DictProxy object, typeid 'dict' True {'a': 1} True",
        "<ListProxy object, typeid 'list' True [1] True",
        "<SetProxy object, typeid 'set' True {1} True",
        "<NamespaceProxy object, typeid 'Namespace' True Namespace(a=1) True",
        "<ValueProxy object, typeid 'Value' True Value('i', 3) True",
        "<ArrayProxy object, typeid 'Array' True array('i', [1]) True",
        "<AcquirerProxy object, typeid 'Lock' True TypeError: cannot pickle 'Lock' object True",
        "<AutoProxy[Queue] object, typeid 'Queue' True TypeError: cannot pickle 'Queue' object True",
        "<EventProxy object, typeid 'Event' True TypeError: cannot pickle 'Event' object True",
        "{'a': 1} {'a': 1} 1 {'a': 1} {'a': 1}",
        "True True False",
        "{'a': 1, 'b': 2, 'c': 3} AttributeError: method '__class__' of a dict object is not exposed",
        "AttributeError: 'Namespace' object has no attribute 'missing' "
        "AttributeError: 'Namespace' object has no attribute 'missing' [2] False",
        "RuntimeError: dictionary changed size during iteration",
    ]


def test_a_namespace_s_attributes(tmp_path: Path) -> None:
    main = """
ns = allcores.Manager().Namespace()
class Watched(type(ns)):
    def __getattribute__(self, name): return "seen", super().__getattribute__(name)
for name in ("x", "_x", "\\ud800", "_\\ud800", "", "é" * 3000):
    setattr(ns, name, name)
    there = pickle.loads(pickle.dumps(ns))
    print(getattr(ns, name) == name, hasattr(there, name))
    delattr(ns, name)
    try: getattr(ns, name)
    except AttributeError as error:
        print(str(error)[:60].encode("unicode_escape").decode(), error.name == name, error.__context__)
ns.there = [1]
ns.there.append(2)
print(ns.there, ns.__getattribute__("there"), ns.__setattr__("there", 3), ns.there, ns._typeid, hasattr(ns, "there"))
print(tried(ns.__setattr__, 1, 2), tried(ns.__setattr__, "x"), tried(ns.__getattribute__, 1),
      tried(setattr, ns, "x", (0 for _ in ())))
print(tried(type(ns).__getattribute__, 1, "x"))
print(tried(ns.__getattribute__, "missing"), tried(ns.__getattribute__, "_missing"))
class Held: pass
def looks_in_vain(name):
    held = Held()
    try: raise ValueError
    except ValueError: return hasattr(ns, name), weakref.ref(held)
for name in ("missing", "_missing", "\\ud800"):
    found, held = looks_in_vain(name)
    print(found, held())
ns.__class__ = Watched
print(ns.there, ns._typeid)
"""
    lines = printed(tmp_path, main)
    shared, own = "'Namespace' object has no attribute ", "'NamespaceProxy' object has no attribute "
    assert lines == [
        "True True",
        f"{shared}'x' True None",
        "True False",
        f"{own}'_x' True None",
        "True True",
        f"{shared}'\\\\ud800' True None",
        "True False",
        f"{own}'_\\ud800' True None",
        "True True",
        f"{shared}'' True None",
        "True True",
        f"{shared}'" + r"\xe9" * 23 + " True None",
        "[1] [1] None 3 Namespace True",
        "TypeError: 'int' object is not subscriptable TypeError: expected 2 arguments "
        "TypeError: 'int' object is not subscriptable TypeError: cannot pickle 'generator' object",
        "TypeError: descriptor '__getattribute__' for 'NamespaceProxy' objects doesn't apply to a 'int' object",
        f"AttributeError: {shared}'missing' AttributeError: {own}'_missing'",
        *["False None"] * 3,
        "('seen', 3) ('seen', 'Namespace')",
    ]


def test_a_list_has_the_manners_of_the_server_s(tmp_path: Path) -> None:
    main = """
import multiprocessing
for m in (allcores.Manager(), multiprocessing.Manager()):
    made, other = m.list([3, 1]), m.list()
    made += (2,)
    made *= 2
    other.append(made)
    other.append(m.list([made]))
    other[1][0].append(9)
    print([made[:], str(made), len(other[0]), other[1][0][-1], made == other[0], made + [1], made * 1,
           [*reversed(made)],
           made._callmethod("index", (9,)), made._callmethod("#GETVALUE"),
           made.sort(reverse=True), [*made], made.count(3), tried(made.remove, 7), tried(made.pop, 50), made.pop(),
           tried(made.__setitem__, slice(0, 2), 5), isinstance(made, standard.ListProxy)])
    m.shutdown()
"""
    ours, theirs = printed(tmp_path, main)
    assert ours == theirs


@pytest.mark.parametrize("method", METHODS)
def test_a_set_is_had_by_all_and_by_the_server_of_a_manager_with_an_address(method: str, tmp_path: Path) -> None:
    definitions = """
def use(d):
    d["set"].update("bc", [1.0])
    made = d["set"]
    made -= {"a"}
    assert made is not None and made == made
"""
    main = """
with context.Manager() as m:
    d = m.dict()
    d["set"] = m.set("a")
    print(in_child(use, d), sorted(map(str, d["set"])), 1 in d["set"], isinstance(d["set"], standard.BaseProxy))
with managers.SyncManager(("localhost", 0), ctx=context) as m:
    made = m.set([1, 2])
    made |= {3}
    print(isinstance(made, standard.BaseProxy), made.copy(), sorted(made), len(made), 3 in made, made - {1},
          is_ours(made))
"""
    assert printed(tmp_path, main, method, definitions=definitions) == [
        "0 ['1.0', 'b', 'c'] True True",
        "True {1, 2, 3} [1, 2, 3] 3 True {2, 3} False",
    ]


def test_they_raise_what_those_of_threading_raise(tmp_path: Path) -> None:
    main = """
import multiprocessing
for m in (allcores.Manager(), multiprocessing.Manager()):
    lock, rlock, semaphore, bounded, condition, q = (
        m.Lock(), m.RLock(), m.Semaphore(1), m.BoundedSemaphore(1), m.Condition(m.Lock()), m.Queue(1))
    print([tried(call, *arguments) for call, *arguments in (
        (lock.release,), (rlock.release,), (bounded.release,), (semaphore.release,), (condition.release,),
        (condition.wait,), (condition.notify,), (condition.notify_all,),
        (lock.acquire, False, 1), (lock.acquire, True, -2), (lock.acquire, True, -1), (lock.acquire, False),
        (semaphore.acquire, False, 1), (semaphore.acquire, True, -2), (lock.acquire, True, 0.01),
        (q.put, 1), (q.get, True, -1), (q.put, 2, True, -1), (q.put, 2, False), (q.get,), (q.get, False),
        (q.task_done,), (q.task_done,), (m.Event().wait, 0.01), (q.get, True, 0.01),
        (m.Barrier(2).wait, 0.01))])
    m.shutdown()
"""
    ours, theirs = (eval(line) for line in printed(tmp_path, main))
    for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert one == other, index


def test_an_array_does_what_the_server_s_does(tmp_path: Path) -> None:
    definitions = """
class Index:
    def __init__(self, number): self.number = number
    def __index__(self): return self.number

def uses(a, code, one):
    many = array.array(code, [one] * 2)
    yield from (lambda key=key: a[key] for key in (
        0, -1, 3, -4, 4, -5, 10**30, True, Index(1), 1.0, None, "x", (0,), ..., slice(None), slice(1, 3),
        slice(-2, None), slice(3, 1), slice(9, 12), slice(None, None, -1), slice(None, None, 2),
        slice(0, 4, 0), slice("x", None)))
    yield from (lambda: len(a), lambda: str(a), lambda: list(a), lambda: one in a, lambda: [*reversed(a)])
    yield from (lambda key=key, value=value: a.__setitem__(key, value) for key, value in (
        (0, one), (-1, a[0]), (Index(1), one), (True, one), (4, one), (-5, one), ("x", one), (None, one), ((0,), one),
        (0, None), (0, "no"), (0, b"n"), (0, []), (0, 1 << 70), (0, -1), (0, 300), (0, 1.5), (0, "n"), (9, "no"),
        ("x", many * 2), (0, many * 2), (slice(1, 3), many), (slice(0, 2), [one]), (slice(0, 2), one),
        (slice(0, 1), array.array("Q")), (slice(None, None, 2), many), (slice(None, None, -2), many),
        (slice(None, None, 3), many), (slice(0, 4, 0), many),
        (slice(0, 2), array.array(code, [one])), (slice(1, 1), many), (slice(9, 9), many), (slice(3, 1), many),
        (slice(-1, None), array.array(code)), (slice(None), array.array(code)), (slice(None), array.array(code)),
        (0, one), (slice(None, None, 2), many), (slice(5, 0), many * 3)))
    yield from (lambda: a.__delitem__(0), lambda: a.append(one), lambda: a == a, lambda: a < a, lambda: a._getvalue())

def in_short(said):  # what creating something raises is in the text of a RemoteError of the standard library's
    return said.splitlines()[-2] if said.startswith("RemoteError") else said

def made(m):
    yield from (in_short(tried(lambda: str(m.Array(*args)))) for args in (
        ("i", []), ("b", b"ab"), ("u", "ab"), ("i", "ab"), ("b", [300]), ("x", []), (1, []), ("i", 3),
        ("i", [1], False)))
    for code in "bBuhHiIlLqQfd":
        one = "o" if code == "u" else 7
        a = m.Array(code, "text" if code == "u" else range(4))
        for number, use in enumerate(uses(a, code, one)):
            yield code, number, tried(use), tried(str, a), tried(len, a)
"""
    main = """
import multiprocessing
server = multiprocessing.get_context("fork").Manager()
ours, theirs = list(made(allcores.Manager())), list(made(server))
same = [one == other or str(one) == str(other) for one, other in zip(ours, theirs, strict=True)]
print(len(same), *[f"{ours[at]} {theirs[at]}" for at, is_same in enumerate(same) if not is_same], sep="\\n")
server.shutdown()
"""
    (number,) = printed(tmp_path, main, definitions=definitions)
    assert int(number) > 900


@pytest.mark.parametrize("method", METHODS)
def test_an_array_that_gets_longer_or_shorter_does_so_for_all(method: str, tmp_path: Path) -> None:
    definitions = """
def change(a, other, ready, go):
    seen = len(a), a[-1]
    ready.set(); go.wait()
    assert (seen, len(a), a[-1]) == ((2, 2), 4, 5)
    a[:] = array.array("i", [7])
    other[0:2] = a

def grow(a):
    for _ in range(200):
        a[0:0] = array.array("i", [0, 0])
        a[0] += 0
        a[-1:] = array.array("i")
"""
    main = """
with context.Manager() as m:
    a, other, ready, go = m.Array("i", [1, 2]), m.Array("i", range(3)), m.Event(), m.Event()
    child = context.Process(target=change, args=(a, other, ready, go))
    child.start()
    ready.wait(); a[1:] = array.array("i", [3, 4, 5]); go.set()
    child.join()
    print(child.exitcode, a, other, copy.copy(a)[0])
    both = [context.Process(target=grow, args=(a,)) for _ in range(2)]
    for one in both: one.start()
    for one in both: one.join()
    print(len(a), set(a), [one.exitcode for one in both])
"""
    assert printed(tmp_path, main, method, definitions=definitions) == [
        "0 array('i', [7]) array('i', [7, 2]) 7",
        "401 {0} [0, 0]",
    ]


def test_after_shutdown_every_use_says_so_at_once(tmp_path: Path) -> None:
    main = """
with allcores.Manager() as m:
    d, ns, value, numbers, lock = m.dict(a=1), m.Namespace(x=1), m.Value("i", 1), m.Array("i", [1]), m.Lock()
    q, event, barrier, condition = m.Queue(), m.Event(), m.Barrier(1), m.Condition()
    items, some, copied = m.list([1]), m.set([1]), pickle.dumps(d)
uses = [lambda: d["a"], lambda: d.update(b=1), lambda: len(d), lambda: list(d), d.keys, d.popitem, d.clear,
        lambda: "a" in d,
        lambda: pickle.loads(copied)["a"], lambda: ns.x, lambda: setattr(ns, "x", 1), value.get, lambda: numbers[0],
        lambda: len(numbers), lock.acquire, lock.release, q.get, q.qsize, lambda: q.put(1), event.set, event.wait,
        barrier.wait,
        lambda: items[0], lambda: items[:], lambda: items.append(1), lambda: len(items), lambda: list(items), items.pop,
        items.sort, items.copy, lambda: 1 in items, lambda: items.index(1), lambda: items.remove(1), items.reverse,
        lambda: 1 in some, lambda: some.add(1), some.pop, lambda: len(some), lambda: list(some), some.copy,
        lambda: some | {1}, lambda: some.update([1]),
        condition.acquire, condition.notify, m.dict, m.list, m.Lock]
print({str(tried(use)).partition(":")[0] for use in uses}, str(tried(uses[0])))
print(str(d).endswith("'__str__()' failed>"), tried(m.start).partition(":")[0], m.shutdown(), m.join())
"""
    assert printed(tmp_path, main) == [
        "{'ManagerEndedError'} ManagerEndedError: this dict object is gone: its manager was shut down. Use it before "
        "that, inside the manager's `with` block",
        "True ProcessError None None",
    ]


@pytest.mark.parametrize("method", METHODS)
def test_after_shutdown_each_type_says_what_it_was(method: str, tmp_path: Path) -> None:
    definitions = """
USES = {
    "dict": lambda d: d["a"], "list": lambda items: items[0], "set": len, "Namespace": lambda ns: ns.x,
    "Value": lambda value: value.value, "Array": lambda numbers: numbers[0], "Event": lambda event: event.is_set(),
    "Barrier": lambda barrier: barrier.wait(), "Queue": lambda q: q.get(), "JoinableQueue": lambda q: q.put(1),
    **dict.fromkeys(("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"), lambda lock: lock.acquire()),
}
ARGUMENTS = {"Value": ("i", 1), "Array": ("i", [1]), "Barrier": (1,)}

def say(things, ended=None):
    if ended is not None: ended.wait()
    for (typeid, nested), thing in things.items():
        said = tried(USES[typeid], thing)
        if not said.startswith(f"ManagerEndedError: this {typeid} object is gone: "): print(typeid, nested, said)
    print(len(things), flush=True)
"""
    main = """
from allcores._manager.usual import MAKERS
assert USES.keys() == MAKERS.keys()
m = context.Manager()
things = {(typeid, ""): getattr(m, typeid)(*ARGUMENTS.get(typeid, ())) for typeid in MAKERS}
tree = m.dict({"dict": {}, "list": []}, nested=True)
things |= {("dict", "nested"): tree["dict"], ("list", "nested"): tree["list"]}
ended = context.Event()
child = context.Process(target=say, args=(things, ended))
child.start()
m.shutdown()
ended.set()
child.join()
say(things)
"""
    assert printed(tmp_path, main, method, definitions=definitions) == ["17", "17"]


@pytest.mark.parametrize("method", METHODS)
def test_whoever_waits_when_the_manager_is_shut_down_is_told_so(method: str, tmp_path: Path) -> None:
    definitions = """
def wait_for_all(things, ready):
    def wait(call): ready.release(); os.write(1, (tried(call).partition(":")[0] + "\\n").encode())
    def wait_in(condition):
        with condition: condition.wait()
    lock, rlock, semaphore, event, barrier, condition, q, full, joined = things
    calls = [lock.acquire, rlock.acquire, semaphore.acquire, event.wait, barrier.wait, lambda: wait_in(condition),
             q.get,
             lambda: full.put(2), joined.join]
    threads = [threading.Thread(target=wait, args=(call,)) for call in calls * 2]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

def waiting(things):
    lock, rlock, semaphore, event, barrier, condition, q, full, joined = (thing._object for thing in things)
    channels = [queue._channel._waiters() for queue in (q, full, joined)]
    return [thing._waiters() for thing in (lock, rlock, semaphore, event, condition)] + [barrier.n_waiting] + channels
"""
    main = """
m = context.Manager()
things = (m.Lock(), m.RLock(), m.Semaphore(0), m.Event(), m.Barrier(9), m.Condition(), m.Queue(), m.Queue(1),
          m.JoinableQueue())
things[0].acquire(); things[1].acquire(); things[7].put(1); things[8].put(1)
ready = context.Semaphore(0)
child = context.Process(target=wait_for_all, args=(things, ready))
child.start()
for _ in range(18): ready.acquire()
while sum(waiting(things)) < 18: os.sched_yield()
m.shutdown()
released = tried(things[1].release).partition(":")[0]
child.join()
print(released, child.exitcode, sep="\\n")
"""
    lines = printed(tmp_path, main, method, definitions=definitions)
    assert sorted(lines) == ["0"] + ["ManagerEndedError"] * 19


@pytest.mark.parametrize("method", METHODS)
def test_a_server_is_started_when_it_is_needed_and_its_objects_are_kept_in_dicts(method: str, tmp_path: Path) -> None:
    definitions = """
def use(d):
    d["list"].append(d["pool"].apply(pow, (2, 5)))
    d["list"][0]["inner"] = 1
"""
    main = """
with context.Manager() as m:
    before = allcores.active_children()
    d = m.dict()
    assert allcores.active_children() == before == []
    d["list"] = m.list([m.dict()])  # nobody has it but the dict
    assert allcores.active_children() == []
    d["pool"] = m.Pool(1)
    gc.collect()
    for _ in range(2): assert in_child(use, d) == 0
    print(d["list"][1:], d["list"][0], len(allcores.active_children()), m._process.is_alive(),
          type(m.address).__name__)
    process = m._process
print(process.exitcode)
"""
    assert printed(tmp_path, main, method, definitions=definitions) == ["[32, 32] {'inner': 1} 1 True str", "0"]


def test_children_that_are_forked_ask_the_server_of_their_parent(tmp_path: Path) -> None:
    definitions = """
def add(): made["pool"] = m.Pool(1)
"""
    main = """
m = context.Manager()
made = m.dict()
print(in_child(add), made["pool"].apply(pow, (2, 5)), context.Process().name)
m.shutdown()
"""
    lines = printed(tmp_path, main, "fork", definitions=definitions)
    assert lines == ["0 32 ForkProcess-3"], "the server's process has the number that it always had"


def test_a_manager_with_an_address_an_initializer_or_types_of_its_own_has_its_server(tmp_path: Path) -> None:
    definitions = """
def initialize(path): open(path, "x").close()
"""
    main = """
with managers.SyncManager(address=("127.0.0.1", 0), authkey=b"key") as m:
    d = m.dict(a=1)
    other = managers.SyncManager(address=m.address, authkey=b"key")
    other.connect()
    print(is_ours(d), d, is_ours(other.dict()), other.dict(b=2))
m = managers.SyncManager()
m.start(initialize, (sys.argv[0] + ".made",))
print(is_ours(m.dict()), os.path.exists(sys.argv[0] + ".made"), len(allcores.active_children()))
m.shutdown()
with Own() as m:
    counter, d = m.Counter(), m.dict()
    counter.fill(d)
    d["counter"] = counter
    del counter
    print(is_ours(d), d["by the server"], d["counter"].add(5), d["counter"].add(5), len(allcores.active_children()))
print(tried(d.keys).partition(":")[0], len(allcores.active_children()))
with Other() as m: print(m.dict().add(1))
print(tried(managers.SyncManager().dict))
"""
    assert printed(tmp_path, main, definitions=definitions) == [
        "False {'a': 1} False {'b': 2}",
        "True True 1",
        "True True 5 10 1",
        "ManagerEndedError 0",
        "1",
        "AssertionError: server not yet started",
    ]


@pytest.mark.parametrize("method", METHODS)
def test_what_a_process_has_made_and_stored_stays_when_it_is_killed(method: str, tmp_path: Path) -> None:
    definitions = """
def store(d, m_namespace):
    d["again"] = d
    d["values"] = {"deep": [d["inner"]]}
    m_namespace.inner = d["inner"]
    os.kill(os.getpid(), signal.SIGKILL)
"""
    main = """
with context.Manager() as m:
    d, ns = m.dict(inner=m.dict(x=1)), m.Namespace()
    print(in_child(store, d, ns), ns.inner, d["values"]["deep"][0], d["again"]["again"]["inner"]["x"])
"""
    assert printed(tmp_path, main, method, definitions=definitions) == ["-9 {'x': 1} {'x': 1} 1"]


def test_a_program_that_may_have_no_long_files_has_everything_in_the_server(tmp_path: Path) -> None:
    main = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
with managers.SyncManager(ctx=context) as m:
    d = m.dict(a=1)
    print(is_ours(d), d)
"""
    assert printed(tmp_path, main) == ["False {'a': 1}"]


@pytest.mark.parametrize("method", METHODS)
def test_a_nested_dict_has_the_dicts_in_it_be_shared_ones(method: str, tmp_path: Path) -> None:
    definitions = """
def change(d):
    d["a"]["b"]["c"] += 1
    d["new"] = {"deep": {"x": 1}}
    d["new"]["deep"]["x"] += 1
    d.setdefault("a", {})["d"] = 5
    d.setdefault("set", {})["s"] = {}
    d["set"]["s"]["t"] = 1
    d["list"].append({"l": []})
    d["list"][0]["first"] = d["list"][1]["l"]
    d["list"][1]["l"].extend([[1], 2])
    d["list"][1]["l"][0].insert(0, 0)
    d["list"][1:1] = [{"m": 1}]
    d["list"][1]["m"] += 1
    with d.transaction(): d["in"] = {"a": 1}
    d["in"]["a"] = 2
"""
    main = """
with context.Manager() as m:
    d = m.dict({"a": {"b": {"c": 1}}, "list": [{}]}, nested=True)
    print(in_child(change, d))
    print(d)
    print(copy.deepcopy(d) == d._getvalue(), type(d._getvalue()["a"]), repr(d).partition(" at")[0],
          repr(d["a"]["b"])[:10], repr(d["list"])[:10], d["list"])
    inner = d["new"]["deep"]
    d["new"] = None
    inner["still"] = 2
    print(inner, m.dict(nested=1))
print(tried(lambda: inner["x"]).partition(":")[0])
"""
    assert printed(tmp_path, main, method, definitions=definitions) == [
        "0",
        "{'a': {'b': {'c': 2}, 'd': 5}, "
        "'list': [{'first': [[0, 1], 2]}, {'m': 2}, {'l': [[0, 1], 2]}], 'new': {'deep': {'x': 2}}, "
        "'set': {'s': {'t': 1}}, 'in': {'a': 2}}",
        "True <class 'dict'> <DictProxy object, typeid 'dict' <DictProxy <ListProxy "
        "[{'first': [[0, 1], 2]}, {'m': 2}, {'l': [[0, 1], 2]}]",
        "{'x': 2, 'still': 2} {'nested': 1}",
        "ManagerEndedError",
    ]


def test_who_waits_for_a_condition_whose_lock_is_held_is_told_when_it_is_given_back(tmp_path: Path) -> None:
    definitions = """
def wait(condition):
    with condition: condition.wait()
def die(condition):
    condition.acquire()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    main = """
m = allcores.Manager()
held, lost = m.Condition(), m.Condition()
answers = []
threads = [threading.Thread(target=lambda each=each: answers.append(tried(wait, each))) for each in (held, lost)]
for thread in threads: thread.start()
while not (held._object._waiters() and lost._object._waiters()): os.sched_yield()
assert in_child(die, lost) == -signal.SIGKILL
held.acquire()
ending = threading.Thread(target=m.shutdown)
ending.start(); ending.join()
print(tried(held.release).partition(":")[0])
for thread in threads: thread.join()
print({answer.partition(":")[0] for answer in answers}, len(answers))
"""
    assert printed(tmp_path, main, definitions=definitions) == ["ManagerEndedError", "{'ManagerEndedError'} 2"]
