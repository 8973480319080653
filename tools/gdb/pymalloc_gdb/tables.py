"""Text for people: tables and amounts.
"""


def human(count):
    """Bytes in the unit that suits them."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return (
                "%d %s" % (count, unit)
                if unit == "bytes"
                else "%.1f %s"
                % (
                    count,
                    unit,
                )
            )
        count /= 1024
    return "%.1f GiB" % count


def print_table(head, rows, left=()):
    """Columns, flushed right but for those named in left."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    for row in [head] + rows:
        cells = (
            cell.ljust(width) if name in left else cell.rjust(width)
            for cell, width, name in zip(row, widths, head)
        )
        print("  ".join(cells).rstrip())
