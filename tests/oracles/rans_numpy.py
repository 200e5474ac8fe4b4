"""A slow rANS coder, one symbol at a time with Python integers, to check the fast one.

It shares the frequency table with `jaxnvc.entropy.rans` and nothing else: the format
is written down here a second time, in the order in which a reader would explain it.
"""

LOW = 1 << 16
BITS = 14


def _interval(row, escape, symbol):
    """Returns (start, frequency) of a symbol in a table row; escapes included."""
    magnitude = min(abs(symbol), escape)
    start, frequency = int(row[magnitude]) >> 16, int(row[magnitude]) & 0xFFFF
    if symbol < 0 and magnitude < escape:
        start += frequency
    return start, frequency


def _positions(active, lanes):
    """Lists (position, lane) of the active symbols, in decoding order."""
    chosen = [p for p, is_active in enumerate(active) if is_active]
    return [(p, k % lanes) for k, p in enumerate(chosen)]


def encode(stages, lanes, table):
    """Codes stages of (symbols, index, active); returns the payload's words."""
    states = [LOW] * lanes
    reversed_words, escapes = [], []
    for symbols, index, active in stages:
        for p, _ in _positions(active, lanes):
            if abs(int(symbols[p])) >= table.escape[index[p]]:
                escapes.append(int(symbols[p]) & 0xFFFF)
    for symbols, index, active in reversed(stages):
        for p, lane in reversed(_positions(active, lanes)):
            row, escape = table.packed[index[p]], int(table.escape[index[p]])
            start, frequency = _interval(row, escape, int(symbols[p]))
            x = states[lane]
            if x >= frequency << (32 - BITS):
                reversed_words.append(x & 0xFFFF)
                x >>= 16
            states[lane] = (x // frequency << BITS) + start + x % frequency
    words = []
    for x in states:
        words += [x >> 16, x & 0xFFFF]
    return words + reversed_words[::-1] + escapes[::-1]


def _find(row, escape, slot):
    """Returns the (symbol, start, frequency) whose interval holds the slot."""
    for magnitude in range(escape + 1):
        signs = (1,) if magnitude in (0, escape) else (1, -1)
        for sign in signs:
            start, frequency = _interval(row, escape, sign * magnitude)
            if start <= slot < start + frequency:
                return sign * magnitude, start, frequency
    raise AssertionError(f"no interval holds slot {slot}")


def decode(words, lanes, stages, table):
    """Reads stages of (index, active) from a sound payload.

    Returns:
      One list of symbols per stage, and whether everything was consumed exactly.
    """
    words = [int(word) for word in words]
    states = [words[2 * j] << 16 | words[2 * j + 1] for j in range(lanes)]
    front, back = 2 * lanes, len(words)
    decoded = []
    for index, active in stages:
        symbols = [0] * len(active)
        waiting = []
        for p, lane in _positions(active, lanes):
            if lane == 0:
                # A row is complete: its lanes take their words in lane order.
                front = _refill(states, waiting, words, front)
                waiting = []
            row, escape = table.packed[index[p]], int(table.escape[index[p]])
            x = states[lane]
            symbol, start, frequency = _find(row, escape, x % (1 << BITS))
            states[lane] = frequency * (x >> BITS) + x % (1 << BITS) - start
            waiting.append(lane)
            if symbol == escape:
                back -= 1
                symbol = words[back] - (1 << 16) * (words[back] >> 15)
            symbols[p] = symbol
        front = _refill(states, waiting, words, front)
        decoded.append(symbols)
    return decoded, front == back and all(x == LOW for x in states)


def _refill(states, waiting, words, front):
    for lane in waiting:
        if states[lane] < LOW:
            states[lane] = states[lane] << 16 | words[front]
            front += 1
    return front
