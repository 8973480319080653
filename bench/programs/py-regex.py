"""Regular expressions: finds, splits and replaces in generated log lines."""
import re


def lines(n):
    seed = 42
    for i in range(n):
        seed = (seed * 69069 + 1) % 2**32
        yield (
            f"2024-{1 + seed % 12:02}-{1 + seed % 28:02}T10:{seed % 60:02}:00 "
            f"host{seed % 97} worker[{i}]: GET /a/{seed % 1009}/b?id={seed}&q=x%20y "
            f'"client/{seed % 7}.{seed % 10}" {200 + seed % 4 * 100} {seed % 65536}'
        )


def main():
    line = re.compile(
        r"(?P<date>\d{4}-\d\d-\d\d)T(\S+) (?P<host>\w+) (\w+)\[(\d+)\]: "
        r'(?P<verb>[A-Z]+) (?P<path>\S+) "(?P<client>[^"]*)" (\d+) (\d+)'
    )
    pair = re.compile(r"[?&]([^=&]+)=([^&]*)")
    number = re.compile(r"\d+")
    hosts = {}
    size = 0
    for text in lines(75_000):
        found = line.match(text)
        fields = found.groupdict()
        query = dict(pair.findall(fields["path"]))
        hosts.setdefault(fields["host"], []).append((query["id"], fields["client"]))
        size += len(number.sub(lambda m: m.group()[::-1], text))
        size += len(re.split(r"[ :/]+", text))
    print(size, len(hosts), sum(len(found) for found in hosts.values()))


main()
