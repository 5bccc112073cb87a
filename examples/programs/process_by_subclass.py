"""A child process made by a subclass with its own run().

The object travels to the child with its attributes; what the child changes stays in the child.
"""

from multiprocessing import Process


class Gardener(Process):
    """A process that knows its beds."""

    def __init__(self, name, beds):
        """Give the gardener a name and some beds; nothing is harvested yet."""
        super().__init__()
        self.name = name
        self.beds = beds
        self.harvest = 0

    def run(self):
        """Harvest every bed, in the child process."""
        print(f"{self.name} goes out to {self.beds} beds")
        for bed in range(1, self.beds + 1):
            self.harvest += bed
        print(f"{self.name} comes home with {self.harvest} carrots")


if __name__ == "__main__":
    gardener = Gardener("Hortensia", beds=4)
    gardener.start()
    gardener.join()
    print(f"the parent's own {gardener.name} still has {gardener.harvest}")
