"""Whether an audit bundle holds: python3 verify_liandai.py BUNDLE [--policy FILE], with Python 3.11 alone.
Every leaf of every log is taken again; every hash, root, signature and balance is derived anew. Prints one
JSON document. Exit 0: all holds; 1: the first book and index that do not; 2: no bundle. --policy: your keys."""
import base64, hmac, itertools, json, pathlib, re, sys
from collections import defaultdict
from datetime import date, datetime
from functools import lru_cache
from hashlib import sha256, sha512
MOVES, NEW_KINDS = "transaction pending posting reversal".split(), "pending posting void reversal account".split()
KINDS = "transaction record refusal seal key consent head".split()
HEAD, STATEMENT = "book:str root:str size:int type:str", "body:dict by:str key:str kind:str signature:str"
TERMS = "account:dict least_minor:int? most_minor:int? side:str? type:str"  # ? where it may be null
OLD = "actor:dict book:str booking_date:str corrects:str? entries:list%s id:str kind:str%s recorded_at:str"
OLD, NEW = (OLD % more + " subject:dict v:int value_date:str" for more in (("", ""), (" expires_at:str?", " of:str?")))
PARTS, NAME = ("party", "code", "counterparty", "ref", "currency"), "[a-z0-9][a-z0-9._:-]{0,79}"
ACCOUNT = re.compile(rf"({NAME})/((?=due\.){NAME}/(?!\1/){NAME}|(?!due\.){NAME}/)/({NAME})?/"
                     "(CNY|USD|EUR|HKD|GBP|JPY)")  # the five parts, with slashes between
FILES = ("balances.jsonl", "checkpoints.jsonl", "leaf-hashes.bin", "leaves.jsonl", "salt.hex")
BOOK, TABLE = r"books/([a-z0-9][a-z0-9._-]{0,79})/[a-z-]+\.[a-z]+", r"reference/[a-z0-9][a-z0-9-]{0,79}\.json"
NOT_PROVED = ["facts never submitted, amounts against the terms, who held a key, independence of witnesses"]
def need(holds, wanted):
    if not holds: raise ValueError(f"expected {wanted}")
def shaped(value, fields):  # an object with exactly these fields, in order, of these types
    wanted = dict(field.split(":") for field in fields.replace("?", "|NoneType").split())
    is_its = isinstance(value, dict) and list(value) == list(wanted)
    need(is_its and all(type(value[name]).__name__ in wanted[name].split("|") for name in value), fields)
    return value.values()
P, ORDER, ZERO = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493, (0, 1, 1, 0)  # ---- Ed25519
D, ROOT = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)
def add(one, two):  # points as X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z
    a, b = (one[1] - one[0]) * (two[1] - two[0]) % P, (one[1] + one[0]) * (two[1] + two[0]) % P
    c, d = 2 * one[3] * two[3] * D % P, 2 * one[2] * two[2] % P
    return (b - a) * (d - c) % P, (d + c) * (b + a) % P, (d - c) * (d + c) % P, (b - a) * (b + a) % P
def times(factor, of):
    rest = times(factor >> 1, add(of, of)) if factor else ZERO
    return add(rest, of) if factor & 1 else rest
def same(one, two): return all((one[part] * two[2] - two[part] * one[2]) % P == 0 for part in (0, 1))
@lru_cache(4096)
def point(raw):
    sign, y = divmod(int.from_bytes(raw, "little"), 1 << 255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    root = root if root * root % P == square else root * ROOT % P
    x = root if root & 1 == sign else P - root
    is_one = len(raw) == 32 and 1 != y < P and root * root % P == square and (root or not sign)
    need(is_one and same(times(ORDER, (x, y, 1, x * y % P)), ZERO), "a point of prime order")
    return x, y, 1, x * y % P
def check_signature(public, message, signature):
    s, k = (int.from_bytes(part, "little") for part in (
        signature[32:], sha512(signature[:32] + public + message).digest()))
    is_good = same(times(s, point(b"X" + 31 * b"f")), add(point(signature[:32]), times(k, point(public))))
    need(is_good and len(signature) == 64 and s < ORDER, "a signature that holds")
def integer(text):  # ---- JSON in its one spelling (RFC 8785), base64, policies, notes (C2SP)
    need(abs(int(text)) < 2**53, "integers of at most 2^53-1, and no floats")
    return int(text)
def in_order(pairs):  # an object with each key once, in the order of UTF-16 units
    names = [name for name, _ in pairs]
    need(names == sorted({*names}, key=lambda name: name.encode("utf-16be")), "each key once, in order")
    return dict(pairs)
decode = json.JSONDecoder(object_pairs_hook=in_order, parse_int=integer, parse_float=integer).decode
write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
def read(raw):
    value = decode(raw.decode())
    need(write(value).encode() == raw, "canonical JSON (RFC 8785)")
    return value
def unbase64(text):
    need(base64.b64encode(base64.b64decode(text, validate=True)).decode() == text, "canonical base64")
    return base64.b64decode(text)
def read_key(text, kind):  # a verifier key as (name, id, type, 32 public bytes)
    name, said, coded = re.fullmatch(r"([^+\s]+)\+([0-9a-f]{8})\+(\S+)", text).groups()
    raw = unbase64(coded)
    is_its = sha256(f"{name}\n".encode() + raw).hexdigest()[:8] == said
    need(is_its and raw[0] == kind and point(raw[1:]), f"a key of type {kind} under its id")
    return name, said, kind, raw[1:]
def read_policy(raw):
    pairs = json.loads(raw.decode(), object_pairs_hook=tuple)  # so that no field hides another
    need(type(pairs) is tuple and len(pairs) == 3, "log, threshold and witnesses, each once")
    log, k, others = shaped(dict(sorted(pairs)), "log:str threshold:int witnesses:list")
    keys, n = [read_key(log, 1), *(read_key(text, 4) for text in others)], len(others)
    is_once = len({key[0] for key in keys}) == len({key[3] for key in keys}) == n + 1
    need(is_once and min(1, n) <= k <= n, "each name and key once, a threshold of 1 to n (0 where n is 0)")
    return keys[0], keys[1:], k
def open_note(raw, keys):  # the lines of its text, and who of the keys signed; theirs must hold
    text, parted, lines = raw.decode().rpartition("\n\n")
    is_note = text and parted and lines.endswith("\n") and lines.count("\n") <= 100
    need(is_note and not re.search(r"[\x00-\x09\x0b-\x1f]", text), "a signed note")
    known, found = {key[:2]: key for key in keys}, set()
    for line in lines[:-1].split("\n"):
        name, coded = re.fullmatch(r"— ([^\s+]+) (\S+)", line).groups()
        key, signature = known.get((name, unbase64(coded)[:4].hex())), unbase64(coded)[4:]
        need(signature and (not key or key[2] == 1 or signature[0] < 128), "a key id and a signature")
        if key:  # before the signature of a cosignature stand eight bytes of time
            timed = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big") * (key[2] == 4)
            check_signature(key[3], timed + f"{text}\n".encode(), signature[8 if timed else 0 :])
            found.add(key)
    return text.split("\n"), found
def grow(peaks, size, leaf):  # ---- the tree (RFC 6962), kept as the roots of its complete subtrees
    digest = sha256(b"\0" + leaf).digest()
    while size & 1: digest, size = sha256(b"\1" + peaks.pop() + digest).digest(), size >> 1
    peaks.append(digest)
def root_of(peaks):
    digest = peaks[-1] if peaks else sha256(b"").digest()
    for peak in peaks[-2::-1]: digest = sha256(b"\1" + peak + digest).digest()
    return digest.hex()
@lru_cache(99999)
def name_of(account):  # its canonical JSON, once it is a possible account
    need(ACCOUNT.fullmatch("/".join(account)), "a possible account")
    return write(dict(sorted(zip(PARTS, account))))
@lru_cache(999)
def moment(text, kind):
    is_one = kind.fromisoformat(text).isoformat().replace("+00:00", "Z") == text
    need(is_one and (kind is date or text[-1] == "Z"), "a date, or a time in UTC")
    return kind.fromisoformat(text)
def signed_in(value, depth=1):  # what stands under `signed` and `signatures`, however deep
    need(depth <= 64, "at most 64 levels of nesting")
    for key, inner in {dict: dict.items, list: enumerate}.get(type(value), lambda _: ())(value):
        if key in ("signed", "signatures") and inner is not None:
            need(key == "signed" or isinstance(inner, list), "a list of signatures")
            yield from [inner] if key == "signed" else inner
        yield from signed_in(inner, depth + 1)
def read_leaf(raw):  # the leaf and its entries, which close for each party and mirror each debt
    leaf, entries, sums = read(raw), [], defaultdict(int)
    need(not re.search(rb"(?<!\\)(\\\\)*\\u0000", raw), "text without NUL")
    shaped(leaf, NEW if leaf["v"] == 2 else OLD)
    shaped(leaf["actor"], "institution:str user:str")
    kind, lines, _ = leaf["kind"], leaf["entries"], moment(leaf["value_date"], date)
    is_kind = kind in {1: KINDS, 2: NEW_KINDS}[leaf["v"]]
    need(is_kind and (2 <= len(lines) <= 2000 if kind in MOVES else not lines), "a kind, with its entries")
    for line in lines:
        amount, code, other, currency, party, ref = line.values()
        need(list(line) == ["amount_minor", *sorted(PARTS)] and type(amount) is int and amount, "an entry")
        account = (party, code, other, ref, currency)
        name_of(account)
        entries.append((account, amount))
        sums[party, currency] += amount
        sums[min(account, (other, code, party, ref, currency))] += amount if other else 0
    need(not any(sums.values()), "entries that close for each party, debts mirrored")
    return leaf, entries
class Book:  # ---- one book, leaf by leaf
    def __init__(self, name, salt, keys):
        self.name, self.salt, self.keys, self.heads = name, salt, keys, defaultdict(list)
        self.lines, self.ids, self.peaks, self.balances = [], {}, [], defaultdict(int)
        self.day, self.sealed, self.previous, self.entries = "", "", None, 0
        self.open, self.reserved, self.reversed, self.limits = {}, defaultdict(int), set(), {}
    def take(self, raw):  # the leaf stands next in the log and has had its effect
        (leaf, entries), size, held = read_leaf(raw), len(self.lines), []
        kind, said, day, corrects = leaf["kind"], leaf["subject"], leaf["booking_date"], leaf["corrects"]
        is_its = leaf["book"] == self.name and (kind in ("head", "seal") or self.name != "top")
        is_named = leaf["id"] not in self.ids and (corrects is None or corrects in self.ids)
        need(is_its and is_named, "a leaf of this book, its id once, correcting an earlier one if any")
        now, _ = moment(leaf["recorded_at"], datetime), moment(day, date)
        need(self.sealed < day >= self.day, "an open day")
        if kind == "seal":
            due = {"balances_root": self.balances_root(day), "day": day, "previous": self.previous,
                   "root": root_of(self.peaks), "size": size, "type": "DaySeal"}
            need(write(said) == write(due), f"the seal {due}")
            self.sealed, self.previous = day, size
        elif kind == "head":
            book, root, upto, tag = shaped(said, HEAD)
            is_later = all(upto >= before for before, _ in self.heads[book][-1:])
            need(self.name == "top" != book and tag == "Head" and is_later, "a later head of another book")
            self.heads[book].append((upto, root))
        elif kind == "key": self.take_key(said, now)
        elif kind in NEW_KINDS: held = self.take_promise(leaf, entries, now)
        for account, amount in entries if kind != "pending" else ():
            self.balances[account], self.entries = self.balances[account] + amount, self.entries + 1
        for account in {account for account, _ in [*entries, *held]} & self.limits.keys():
            (least, most), posted = self.limits[account], self.balances.get(account, 0)
            low, high = posted + self.reserved[account, False], posted + self.reserved[account, True]
            need((least is None or low >= least) and (most is None or high <= most), f"{account} in its limits")
        for of in signed_in(said):
            body, by, key, word, sign = shaped(of, STATEMENT)
            who, public, since, until = self.keys[key]
            is_live = by == who and since <= now and (until is None or now < until)
            need(is_live and re.fullmatch("[a-z][a-z0-9-]{0,63}", word), f"a live key of {by}")
            check_signature(public, f"liandai/v1/{word}\n{write(body)}".encode(), unbase64(sign))
        self.ids[leaf["id"]], self.day = size, day
        self.lines.append(raw), grow(self.peaks, size, raw)
    def balances_root(self, day):
        peaks = []
        for size, (account, amount) in enumerate(sorted(self.balances.items())):
            salt = hmac.digest(self.salt, f"{day}\n{(name := name_of(account))}".encode(), "sha256").hex()
            leaf = f'{{"account":{name},"balance_minor":{integer(amount)},"day":"{day}","salt":"{salt}"}}'
            grow(peaks, size, leaf.encode())
        return root_of(peaks)
    def take_key(self, said, now):
        tag, name, by, known = said["type"], said["key"], said["institution"], self.keys.get(said["key"])
        public = unbase64(said["public_key"]) if tag == "KeyRegistered" else known[1]
        is_new = tag == "KeyRegistered" and point(public) and not known
        is_live = tag == "KeyRevoked" and known[0] == by and not known[3]
        is_its = self.name == "registry" and type(by) is str and name == sha256(public).hexdigest()[:16]
        need(is_its and (is_new or is_live), "a new key or a live one, in the registry")
        self.keys[name] = [by, public, now, None] if is_new else [*known[:3], now]
    def take_promise(self, leaf, entries, now):  # what it holds, frees or limits
        kind, of, said, end = leaf["kind"], leaf["of"], leaf["subject"], leaf["expires_at"]
        is_ahead = end is None or (kind == "pending" and moment(end, datetime) > now)
        need(is_ahead and (of is None) == (kind in ("pending", "account")), "its `of` and `expires_at`")
        sign, held, left = 1, entries, defaultdict(int)
        if kind == "pending":
            self.open[leaf["id"]] = entries, end and moment(end, datetime)
        elif kind in ("posting", "void"):  # once, in time, and at most what is pending
            sign, (held, end) = -1, self.open.pop(of)
            by_clock = leaf["actor"] == {"institution": "liandai", "user": "system"} and kind == "void"
            due = {"reason": "expired" if by_clock else "asked", "type": "Voided"}
            need((end is not None and now >= end) == by_clock, "its end to have come, or not to have")
            need(kind == "posting" or said == due, f"{due}")
            for sums, factor in ((held, 1), (entries, -1)):
                for account, amount in sums: left[account, amount > 0] += factor * abs(amount)
            need(min(left.values()) >= 0, "at most what is pending")
        elif kind == "reversal":  # once, and an exact mirror
            was, before = read_leaf(self.lines[self.ids[of]])
            is_mirror = entries == [(account, -amount) for account, amount in before]
            need(was["kind"] in ("transaction", "posting") and is_mirror and of not in self.reversed, "a mirror")
            held, _ = [], self.reversed.add(of)
        else:  # an account's limits, which the present must keep
            account, least, most, side, tag = shaped(said, TERMS)
            key = tuple(account[part] for part in PARTS)
            need(tag == "AccountTerms" and write(account) == name_of(key), "terms of an account")
            least, most = {"debit": (max(0, least or 0), most), "credit": (least, min(0, most or 0)),
                           None: (least, most)}[side]
            need(None in (least, most) or least <= most, "limits with room between")
            self.limits[key], held, sign = (least, most), [(key, 0)], 0
        for account, amount in held: self.reserved[account, amount > 0] += sign * amount
        return held
def examine(files, policy, here, books):  # ---- the bundle; `here` is where the examination stands
    def file(path, **place): return here.clear() or here.update(file=path, **place) or files[path]
    def at(index, holds, wanted): here.update(index=index), need(holds, wanted)
    def lines_of(path, **place):
        need(file(path, **place)[-1:] in (b"", b"\n"), "lines, each with its newline")
        return files[path].split(b"\n")[:-1]
    log, witnesses, k = policy or read_policy(file("policy.json"))
    (header, name, *listed), by = open_note(file("manifest.note"), [log])
    named = {line.split(" ")[-1]: line for line in listed}
    found = {match[1] for match in map(re.compile(BOOK).fullmatch, named) if match}
    tables, due = filter(re.compile(TABLE).fullmatch, named), [f"{book}/{each}" for book in found for each in FILES]
    due = {"policy.json", *tables, *(f"books/{path}" for path in due)}
    once = len(by) == files["manifest.note"].rpartition(b"\n\n")[2].count(b"\n") == 1
    need(once and (header, name) == ("liandai.bundle/v1", log[0]), "a manifest, signed once")
    is_whole = list(named) == sorted(due) and len(listed) == len(due) and found >= {"top", "registry"}
    need(is_whole, "exactly the files of a bundle, the books top and registry among them")
    changed, heads, keys = None, {}, {}  # leaves and hashes are left to the replay, which names the first
    for path in sorted({*named, *files} - {"manifest.note"}):
        if f"{sha256(file(path)).hexdigest()} {len(files[path])} {path}" != named[path]:
            need(path.endswith(FILES[2:4]), "the bytes that the manifest names")
            changed = changed or path
    need(read_policy(file("policy.json"))[0] == log, "the log key that signed the manifest")
    for book in ("top", "registry", *sorted(found - {"top", "registry"})):
        balances, checkpoints, hashes, leaves, salt = (f"books/{book}/{each}" for each in FILES)
        lines, roots, last, counted, enough = lines_of(leaves, book=book), defaultdict(list), -1, 0, 0
        for index, line in enumerate(lines_of(checkpoints, book=book)):
            here["index"] = index
            note = min(shaped(read(line), "note:str")).encode()
            (origin, size, root, *more), by = open_note(note, [log, *witnesses])
            need(log in by and origin == f"{log[0]}/{book}" and all(more), "a checkpoint of this book")
            need(re.fullmatch("0|[1-9][0-9]{0,18}", size) and last < int(size) < 2**63, "sizes that rise")
            last, enough = int(size), len(by) > k
            roots[last], counted = [unbase64(root).hex()], last if enough else counted
        at(counted, book != "top" or (last >= 0 and (enough or not policy)), f"{k} cosignatures at the end")
        at(max(last, 0), last >= len(lines) or not lines, "a checkpoint over every leaf")
        salt = re.fullmatch("([0-9a-f]{64})\n", file(salt, book=book).decode())[1]
        taken, agreed = Book(book, bytes.fromhex(salt), keys), 0
        for size, root in heads.get(book, ()): roots[size].append(root)
        stood = file(hashes, book=book)
        for size, line in enumerate([*lines, None]):
            if size in roots:
                at(agreed, {*roots.pop(size)} == {root_of(taken.peaks)}, f"the root over {size} leaves, as signed")
                agreed = size
            own, due = stood[32 * size : 32 * size + 32], line is not None and sha256(b"\0" + line).digest()
            at(size, own == (due or b""), "its stored hash")
            line is None or taken.take(line)
        need(not roots, "no head over more leaves than there are")
        derived = [b'{"account":%b,"balance_minor":%d}' % (name_of(account).encode(), integer(balance))
                   for account, balance in sorted(taken.balances.items())]
        for index, pair in enumerate(itertools.zip_longest(derived, lines_of(balances, book=book))):
            at(index, pair[0] == pair[1], "the sum of the entries")
        heads, keys = taken.heads if book == "top" else heads, taken.keys
        covered = [0, *(size for size, _ in heads.get(book, ()))][-1]
        at(covered, covered == len(lines) or book == "top", "a head in the top log over every leaf")
        books[book] = {"leaves": len(lines), "entries": taken.entries, "root": root_of(taken.peaks)}
    need(not file(changed) if changed else True, "the bytes that the manifest names")
    return [f"the book {book}, which the top log names and which is not here" for book in sorted({*heads} - found)]
def verify(files, policy):
    here, found = {}, {"verified": True, "trust": "policy" if policy else "self", "not_proved": NOT_PROVED, "books": {}}
    try: found["not_proved"] = NOT_PROVED + examine(files, policy, here, found["books"])  # else it does not hold
    except Exception as error: found |= {"verified": False, "first_wrong": {"why": f"{error!r}", **here}}
    return found
def main(*words):
    need(len(words) in (1, 3) and words[1:2] in ((), ("--policy",)), "one BUNDLE, and one FILE after --policy")
    files, root = {}, pathlib.Path(words[0])
    for path in root.rglob("*"):
        if path.is_symlink() or not path.is_dir() or not any(path.iterdir()):
            plain = path.is_file() and not path.is_symlink()
            files[path.relative_to(root).as_posix() + "/" * (not plain)] = path.read_bytes() if plain else b""
    need(re.search(r"(?m)^(manifest\.note$|policy\.json$|books/)", "\n".join(files)), f"a bundle's folder, not {root}")
    try: policy = read_policy(pathlib.Path(words[2]).read_bytes()) if words[2:] else None
    except Exception: need(False, f"a file of keys, not {words[2]}")
    return print(json.dumps(said := verify(files, policy), ensure_ascii=False)) or int(not said["verified"])
if __name__ == "__main__":
    try: sys.exit(main(*sys.argv[1:]))
    except Exception as e: sys.exit(print("usage: verify_liandai.py BUNDLE [--policy FILE]:", e, file=sys.stderr) or 2)
