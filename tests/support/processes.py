"""How much work other processes did."""

import resource


def processor_seconds():
    """What child processes that were waited for have used: a busy machine says the same, unlike the wall's clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
