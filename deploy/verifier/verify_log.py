#!/usr/bin/env python3
"""Verifies an audit log of Lockstep without Lockstep: Python 3.8 or later, standard library only.

    verify_log.py log DIR... --vkey KEY [--since CHECKPOINT] [--anchors FILE]
    verify_log.py entry FILE.tlog-proof... --vkey KEY

Written from docs/audit-log.md and the specifications that it names; shares no line with the program that writes the log.
KEY is the public key of the log or a file that holds it, from where whoever can change the log cannot change it. Prints a
line of JSON for each log. Exit code 0: verified, 5: tampered or incomplete, 1: there is no log, 2: wrong arguments."""
import argparse, base64, hashlib, json, os, re, sys  # noqa: E401
WIDTH, HASH, SHOWN_MAX, SILENCE_MS, DASH = 256, 32, 20, 150_000, "\u2014 "
INCOMPLETE = {"entries-missing", "tile-missing", "root-unknown", "silence", "intent-without-outcome", "anchors-none"}
ROTATION, SIDES = "lockstep log key rotation v1\n%s\n%s\n", ("fromSignature", "toSignature")

# Ed25519 (RFC 8032, section 5.1), on extended coordinates (x, y, z, x * y / z).
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P
def times(scalar, point):
    if scalar == 0:
        return 0, 1, 1, 0
    half = times(scalar >> 1, add(point, point))
    return add(half, point) if scalar & 1 else half
def point_of(data):
    y, sign = int.from_bytes(data, "little") & (2**255 - 1), data[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        refuse("not a point of the curve")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P
BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
def is_signed(message, signature, public):
    """Whether S * B = R + k * A, as R = S * B + k * (-A)."""
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L:
        return False
    x, y, z, t = point_of(public)
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    x, y, z, t = add(times(s, BASE), times(k, (P - x, y, z, P - t)))
    x, y = x * pow(z, P - 2, P) % P, y * pow(z, P - 2, P) % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]

# Merkle trees (RFC 6962, section 2.1).
def leaf_hash(entry): return hashlib.sha256(b"\0" + entry).digest()
def node(left, right): return hashlib.sha256(b"\1" + left + right).digest()
def perfect(hashes):
    half = len(hashes) // 2
    return hashes[0] if half == 0 else node(perfect(hashes[:half]), perfect(hashes[half:]))
def subtrees(hashes):
    while hashes:
        count = 1 << len(hashes).bit_length() - 1
        yield perfect(hashes[:count])
        hashes = hashes[count:]
def root_of(leaf, index, size, path):
    """The root that an inclusion path leads to; another one where the path has not the length that it must have."""
    if size == 1 or not path:
        return leaf if size == 1 and not path else b""
    left = 1 << (size - 1).bit_length() - 1
    if index < left:
        return node(root_of(leaf, index, left, path[:-1]), path[-1])
    return node(path[-1], root_of(leaf, index - left, size - left, path[:-1]))

# Texts: base64 in its one spelling, keys, checkpoints. What is malformed raises ValueError.
HEAD = r"(([^\n]+)\n(0|[1-9][0-9]{0,14})\n([^\n]+)\n(?:[^\n]+\n)*)"
CONTROL = "[\0-\t\v-\x1f\ud800-\udfff]"
SIGNATURE = "(?:" + DASH + r"([^\s+]+) (\S+)\n)"
def refuse(text): raise ValueError(text)
def unbase64(text):
    data = base64.b64decode(text, validate=True)
    return data if data and base64.b64encode(data).decode() == text else refuse("not base64")
def parse_key(text):
    name, key_id, data = (re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+(.*)", text) or refuse("not a key")).groups()
    typed = unbase64(data)
    if len(typed) != 33 or typed[0] != 1 or hashlib.sha256(name.encode() + b"\n" + typed).hexdigest()[:8] != key_id:
        refuse("not a key")
    point_of(typed[1:])
    return name, key_id, typed[1:], text
def parse_checkpoint(note):
    """Origin, size, root, text, and signatures as (name, id and signature); None where it is none."""
    try:
        found = re.fullmatch(HEAD + "\n(" + SIGNATURE + "{1,64})", note) or refuse("not a checkpoint")
        text, origin, size, root, lines = found.groups()[:5]
        signatures = [(name, unbase64(data)) for name, data in re.findall(SIGNATURE, lines)]
        is_short = len(unbase64(root)) != HASH or any(len(data) <= 4 for _, data in signatures)
        return None if is_short or re.search(CONTROL, note) else (origin, int(size), unbase64(root), text, signatures)
    except ValueError:
        return None
def signer_of(checkpoint, trusted):
    """The trusted key that has signed; None where there is none, or the signature of one of them is wrong."""
    origin, _, _, text, signatures = checkpoint or (None, 0, b"", "", [])
    signed = [(key, data[4:]) for name, data in signatures for key in trusted if key[:2] == (name, data[:4].hex())]
    is_wrong = not all(is_signed(text.encode(), data, key[2]) for key, data in signed)
    return None if is_wrong else next((key for key, _ in signed if key[0] == origin), None)
def split_notes(text): return re.findall(f"(?:(?!{DASH})[^\n]+\n)+\n(?:{DASH}[^\n]+\n)+", text + "\n")
def read(path): return open(path, "rb").read() if os.path.isfile(path) else None
def text_of(data): return None if data is None else data.decode(errors="surrogateescape")
def is_whole(value): return type(value) in (int, float) and abs(value) < 2**53 and value == int(value)

class Log:
    def __init__(self, directory, key, since, anchors):
        self.directory, self.trusted, self.since, self.anchors = directory, [key], since, anchors
        self.counts, self.findings, self.size, self.entries = {}, [], 0, 0
        # The tree: its last tile of each level, how many full ones are before it, and whether it can be known.
        self.levels, self.full, self.length, self.is_known = [], [], 0, True
        self.roots, self.wanted, self.checked = {}, set(), 0
        self.open, self.last, self.after_gap, self.last_start, self.gap_end = {}, None, False, 0, 0

    def report(self, kind, about=None):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        finding = {"kind": kind, "seq" if type(about) is int else "about": about}
        self.findings += [finding] if self.counts[kind] <= SHOWN_MAX else []

    def tile(self, level, index, width):
        """The file of the tile, or of the full one in its place; None where neither is."""
        name = re.sub("([0-9]{3})(?=[0-9])", r"x\1/", str(index).zfill((len(str(index)) + 2) // 3 * 3))
        path = os.path.join(self.directory, "tile", str(level), name)
        return next((data for data in (read("%s.p/%d" % (path, width)), read(path)) if data is not None), None)

    def compare(self, level, index, hashes):
        found = self.tile(level, index, len(hashes))
        if found is None:
            return self.report("tile-missing", "tile %d of level %d" % (index, level))
        at = next((i for i, value in enumerate(hashes) if found[i * HASH:(i + 1) * HASH] != value), None)
        if level == 0 and at is not None:
            self.report("entry-differs", index * WIDTH + at)
        elif at is not None or len(found) not in (len(hashes) * HASH, WIDTH * HASH):
            self.report("tile-differs", "tile %d of level %d" % (index, level))

    def append(self, value, level=0):
        while level >= len(self.levels):
            self.levels.append([])
            self.full.append(0)
        self.levels[level].append(value)
        if len(self.levels[level]) == WIDTH:
            hashes, self.levels[level] = self.levels[level], []
            self.compare(level, self.full[level], hashes)
            self.full[level] += 1
            self.append(perfect(hashes), level + 1)

    def root(self):
        parts = [part for hashes in reversed(self.levels) for part in subtrees(hashes)]
        root = parts.pop() if parts else hashlib.sha256(b"").digest()
        while parts:
            root = node(parts.pop(), root)
        return root

    def read_bundle(self, index, width):
        first, data, entries, at = index * WIDTH, self.tile("entries", index, width), [], 0
        while data is not None and at + 2 <= len(data):
            end = at + 2 + int.from_bytes(data[at:at + 2], "big")
            entries.append(data[at + 2:end])
            at = end
        if data is not None and at == len(data) and width <= len(entries) <= WIDTH:
            for i, entry in enumerate(entries[:width]):
                self.check(first + i, entry)
                self.grow(leaf_hash(entry))
            return
        self.report("entries-missing" if data is None else "bundle-malformed", first)
        self.gap_end, self.after_gap = first + width, True
        leaves = self.tile(0, index, width) or b""
        if len(leaves) >= width * HASH:
            for i in range(width):
                self.grow(leaves[i * HASH:(i + 1) * HASH])
        elif self.is_known:
            self.report("root-unknown", first)
            self.is_known = False

    def grow(self, leaf):
        if self.is_known:
            self.append(leaf)
            self.length += 1
            if self.length in self.wanted:
                self.roots[self.length] = self.root()

    def check(self, seq, data):
        try:
            entry = json.loads(data.decode(), parse_constant=int)
            ts, phase, action = entry["ts"], entry["phase"], entry["action"]
            known = is_whole(entry["v"]) and entry["v"] == 1 and phase in ("event", "intent", "outcome")
            if not known or not isinstance(action, str) or not is_whole(ts) or ts < 0:
                refuse("not an entry")
        except (ValueError, KeyError, TypeError, RecursionError):
            return self.report("entry-malformed", seq)
        self.entries += 1
        if not is_whole(entry.get("seq")) or entry["seq"] != seq:
            self.report("seq-differs", seq)
        before = ts if self.last is None else self.last
        if ts < before:
            self.report("time-goes-back", seq)
        if ts - before > SILENCE_MS and not self.after_gap and action != "log.start":
            self.report("silence", seq)
        self.last, self.after_gap = max(ts, before), False
        self.last_start = seq if action == "log.start" else self.last_start
        if phase == "intent":
            self.open[seq] = True
        parent = entry.get("parentSeq")
        if phase == "outcome" and not (is_whole(parent) and (self.open.pop(parent, False) or parent < self.gap_end)):
            self.report("outcome-unpaired", seq)
        if action == "log.key-rotate":
            self.rotate(seq, entry.get("rotation"))

    def rotate(self, seq, rotation):
        try:
            old = next(key for key in self.trusted if key[3] == rotation["from"])
            new, text = parse_key(rotation["to"]), (ROTATION % (rotation["from"], rotation["to"])).encode()
            signed = [is_signed(text, unbase64(rotation[side]), key[2]) for side, key in zip(SIDES, (old, new))]
            if not all(signed) or old[0] != new[0]:
                refuse("not signed")
            self.trusted.append(new)
        except (ValueError, KeyError, TypeError, StopIteration):
            self.report("rotation-invalid", seq)

    def judge_older(self, note, is_anchor):
        older = parse_checkpoint(note)
        if signer_of(older, self.trusted) is None:
            return None if is_anchor else self.report("since-unsigned")
        self.checked += is_anchor
        if older[1] > self.size:
            self.report("truncated", "a checkpoint of %d entries is known" % older[1])
        elif self.roots.get(older[1]) != older[2]:
            kind = "anchor-differs" if is_anchor else "since-differs"
            self.report(kind if older[1] in self.roots else "root-unknown", "the checkpoint of %d entries" % older[1])

    def verify(self):
        note = text_of(read(os.path.join(self.directory, "checkpoint")))
        checkpoint = parse_checkpoint(note or "")
        if checkpoint is None:
            return self.result("error") if note is None else self.report("checkpoint-malformed") or self.result()
        self.size, anchors = checkpoint[1], split_notes(self.anchors or "")
        older = [parse_checkpoint(note) for note in anchors + [self.since or ""]]
        self.wanted = {checkpoint[1] for checkpoint in older if checkpoint is not None}
        self.roots = {0: self.root()}
        for index in range((self.size + WIDTH - 1) // WIDTH):
            self.read_bundle(index, min(self.size - index * WIDTH, WIDTH))
        for seq in [seq for seq in self.open if self.gap_end <= seq < self.last_start]:
            self.report("intent-without-outcome", seq)
        for level, hashes in enumerate(self.levels if self.is_known else []):
            if hashes:
                self.compare(level, self.full[level], hashes)
        if self.is_known and self.root() != checkpoint[2]:
            self.report("root-differs")
        if signer_of(checkpoint, self.trusted) is None:
            self.report("checkpoint-unsigned", "or it is another log, or another key")
        if self.since is not None:
            self.judge_older(self.since, False)
        for note in anchors:
            self.judge_older(note, True)
        if self.anchors is not None and self.checked == 0:
            self.report("anchors-none")
        return self.result()

    def result(self, verdict=None):
        worst = "verified" if not self.counts else "incomplete" if set(self.counts) <= INCOMPLETE else "tampered"
        under_way = [seq for seq in self.open if seq >= max(self.last_start, self.gap_end)]
        return {"verdict": verdict or worst, "directory": self.directory, "size": self.size, "entries": self.entries,
                "openIntents": under_way, "counts": self.counts, "findings": self.findings}

def verify_proof(text, key):
    try:
        form = "c2sp.org/tlog-proof@v1\nextra (\\S+)\nindex (0|[1-9][0-9]{0,14})\n((?:\\S+\n)*)\n(.+)"
        extra, index, path, note = (re.fullmatch(form, text, re.DOTALL) or refuse("not a proof")).groups()
        entry, index, path = unbase64(extra), int(index), [unbase64(line) for line in path.split()]
        checkpoint = parse_checkpoint(note)
        is_under = signer_of(checkpoint, [key]) and index < checkpoint[1]
        if not is_under or root_of(leaf_hash(entry), index, checkpoint[1], path) != checkpoint[2]:
            refuse("not proven")
        entry = json.loads(entry.decode(), parse_constant=int)
        return {"verdict": "verified" if entry["seq"] == index else "tampered", "entry": entry}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"verdict": "tampered"}

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["log", "entry"])
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--vkey", required=True)
    parser.add_argument("--since")
    parser.add_argument("--anchors")
    options, codes = parser.parse_args(), {"verified": 0, "error": 1, "tampered": 5, "incomplete": 5}
    try:
        key = parse_key((text_of(read(options.vkey)) or options.vkey).strip())
        since, anchors = (path and text_of(open(path, "rb").read()) for path in (options.since, options.anchors))
    except (ValueError, OSError) as error:
        parser.error("the key or a checkpoint cannot be used: %s" % error)
    if options.what == "log":
        results = [Log(path, key, since, anchors).verify() for path in options.paths]
    else:
        results = [verify_proof(text_of(open(path, "rb").read()), key) for path in options.paths]
    print("\n".join(json.dumps(result) for result in results))
    return max(codes[result["verdict"]] for result in results)

if __name__ == "__main__":
    sys.exit(main())
