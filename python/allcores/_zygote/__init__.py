"""The zygote: the process that warm children are forked from. Its README has the protocol."""

__all__: list[str] = []
