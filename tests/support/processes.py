"""How much work other processes did."""

import resource


def processor_seconds():
    """What the child processes that were waited for have used: unlike the wall's clock, whatever else is running."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
