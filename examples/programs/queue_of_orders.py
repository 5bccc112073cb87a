"""Queues between processes: first in, first out.

What comes out is a copy: the kitchen adds to its order, the waiter's own stays as it was.
"""

from multiprocessing import Process, Queue

CLOSING_TIME = None


def kitchen(orders, dishes):
    """Garnish each order until closing time."""
    for order in iter(orders.get, CLOSING_TIME):
        order["extras"].append("parsley")
        dishes.put(order)
    dishes.put("the kitchen is closed")


if __name__ == "__main__":
    orders, dishes = Queue(), Queue()
    cook = Process(target=kitchen, args=(orders, dishes))
    cook.start()

    soup = {"table": 1, "dish": "soup", "extras": []}
    pasta = {"table": 2, "dish": "pasta", "extras": ["cheese"]}
    for order in (soup, pasta, CLOSING_TIME):
        orders.put(order)

    for _ in range(3):
        print("out of the kitchen:", dishes.get(timeout=30))
    cook.join()
    print("the waiter's notes:", soup["extras"], pasta["extras"])
