# ruff: noqa: E501 - exact texts of other files
"""What is broken on purpose: exact replacements, each of which some test must notice.

The first are the bugs that the design's prototype had; then every guard of the function library;
then the guards around it. `within` names the text behind which the replacement is looked for.
"""

from dataclasses import dataclass

LUA = "billing/wallet/functions.lua"
SERVICES = "billing/services"
CLOSED = "  if not epoch then\n    return { 'RECOVERING' }\n  end\n"
CLOSED_UNREAD = "  if not read_epoch({}) then\n    return {{ 'RECOVERING' }}\n  end\n"
OVERTAKEN = "  if not is_rebuilding(keys[1], epoch) then\n    return { 'OVERTAKEN' }\n  end\n"
UNKNOWN = "  if not register or not wallet then\n    return { 'UNKNOWN' }\n  end\n"
MISSING = "  if not wallet then\n    return { 'MISSING' }\n  end\n"


@dataclass(frozen=True)
class Mutant:
    """One change for the worse. `tests` are those that must notice, by their files' short names."""

    name: str
    file: str
    old: str
    new: str
    tests: str
    within: str = ""

    @property
    def paths(self) -> list[str]:
        """Where the tests are, as pytest takes it."""
        named = (test.partition("::") for test in self.tests.split())
        return [f"{place(file)}{mark}{test}" for file, mark, test in named]


def place(file: str) -> str:
    """Return the path of a test file of the wallet, or of any other that is given in full."""
    return file if "/" in file else f"tests/billing/wallet/test_{file}.py"


def lua(name: str, old: str, new: str, *, within: str = "", tests: str = "functions") -> Mutant:
    return Mutant(name, LUA, old, new, tests, f"local function {within}" if within else "")


def service(name: str, module: str, old: str, new: str, *, tests: str) -> Mutant:
    return Mutant(name, f"{SERVICES}/{module}.py", old, new, tests)


KNOWN_BUGS = [
    lua(
        "known: -0 is sent and refused",
        "text(0 - released)",
        "string.format('%.0f', -released)",
        tests="holds",
    ),
    lua(
        "known: an argument is looked at behind the first write",
        "  local target = int(args[2], 'target', 0)\n  local settlement = str(args[3], 'settlement')\n"
        "  local epoch",
        "  local target = int(args[2], 'target', 0)\n  local settlement = args[3]\n  local epoch",
        within="settle(",
    ),
    lua(
        "known: a charge is clipped by a momentarily low balance",
        "  local delta = kept + math.min(due - kept, math.max(wallet.available + released - kept, 0))\n",
        "  local delta = math.min(due, math.max(wallet.available, 0))\n",
        tests="holds",
    ),
    lua(
        "known: a replay after the reaper is ignored",
        "if register.state == 'settled' and target <= register.target then",
        "if register.state == 'settled' then",
        tests="reaper",
    ),
    service(
        "known: open holds lost with Redis are forgotten",
        "rebuild_plan",
        "            plan.lost_holds[request_id] = LostHold(facts, amount=held, lease_ms=lease_ms)\n",
        "            continue\n",
        tests="recovery",
    ),
    service(
        "known: ends lost with Redis are never billed",
        "rebuild_plan",
        "    for request_id, (facts, settlement) in ended.items():\n",
        "    for request_id, (facts, settlement) in {}.items():\n",
        tests="recovery",
    ),
    lua(
        "known: a restarted server is taken for the one before",
        "  if epoch ~= nil and redis.call('GET', fence) == epoch then\n    return epoch\n  end\n"
        "  return nil\n",
        "  return epoch or redis.call('GET', fence) or nil\n",
        tests="recovery",
    ),
]

GUARDS = [
    lua(
        "a flush does not close the fence",
        " and redis.call('GET', fence) == epoch then",
        " then",
        within="read_epoch(",
        tests="recovery",
    ),
    lua(
        "a flush does not end a rebuild",
        "rebuilding[fence] == epoch and redis.call('GET', fence) == epoch",
        "rebuilding[fence] == epoch",
    ),
    lua(
        "a restart does not end a rebuild",
        "rebuilding[fence] == epoch and redis.call('GET', fence) == epoch",
        "redis.call('GET', fence) == epoch",
        tests="recovery",
    ),
    lua("fractions are whole numbers", "'^%-?%d+$'", "'^%-?[%d.]+$'"),
    lua("there is no smallest number", "number < (least or 0) or ", ""),
    lua("there is no largest number", " or number > MAX_INTEGER", ""),
    lua(
        "empty text is text",
        "if type(text) ~= 'string' or text == '' then",
        "if type(text) ~= 'string' then",
    ),
    lua("an id may be any text", "  int(text, name, 1)\n  return text\n", "  return text\n"),
    lua(
        "a register keeps an old time to live",
        "  redis.call('DEL', key)\n",
        "",
        within="write_register(",
    ),
    lua(
        "registers live on from epoch to epoch",
        "if not fields[1] or fields[10] ~= epoch then",
        "if not fields[1] then",
    ),
    lua(
        "a clock set back limits for an hour",
        "  arrival = math.min(arrival, now + interval * limit)\n",
        "",
    ),
    lua(
        "there is no rate limit",
        "if next_arrival - now > interval * limit then",
        "if false then",
        within="check_rate(",
        tests="holds",
    ),
    lua(
        "no number of events is too many",
        "if waiting > max_events then",
        "if false then",
        tests="client",
    ),
    lua(
        "no event is too old",
        "  return tonumber(redis.call('GET', drained) or '0') < limit\n",
        "  return false\n",
        tests="client",
    ),
    lua(
        "an event that can't be booked stops its shard",
        "  return tonumber(redis.call('GET', drained) or '0') < limit\n",
        "  return true\n",
        tests="client",
    ),
    lua(
        "place: least may be above wanted",
        "if least > wanted then",
        "if false then",
        within="place(",
    ),
    lua("place: behind a closed fence", CLOSED, "", within="place("),
    lua("place: without a wallet", MISSING, "", within="place("),
    lua(
        "place: with an old version",
        "if known < wallet.v then",
        "if false then",
        within="place(",
        tests="holds",
    ),
    lua(
        "place: again after the end",
        "if register.state ~= 'open' then",
        "if false then",
        within="place(",
    ),
    lua(
        "place: again holds again",
        "  if register then\n",
        "  if false then\n",
        within="place(",
        tests="holds",
    ),
    lua(
        "place: on a frozen wallet",
        "if wallet.state ~= 'active' then",
        "if false then",
        tests="holds",
    ),
    lua("place: in debt", "if wallet.debt > 0 then", "if false then", tests="drain"),
    lua(
        "place: behind a backlog",
        "if is_backlogged(keys[6], keys[7], max_events, max_age_ms) then",
        "if false then",
        tests="client",
    ),
    lua("place: beyond the rate", "if not may_pass then", "if false then", tests="holds"),
    lua(
        "place: beyond the balance",
        "if fixed + unit * least > available_mc then",
        "if false then",
        tests="holds",
    ),
    lua(
        "place: not clamped",
        "units = math.min(wanted, math.floor((available_mc - fixed) / unit))",
        "units = wanted",
        tests="holds",
    ),
    lua(
        "place: rounded down",
        "math.ceil((fixed + unit * units) / 1000)",
        "math.floor((fixed + unit * units) / 1000)",
    ),
    lua(
        "place: no lease",
        "  redis.call('ZADD', leases, text(now_ms() + lease_ms), request)\n",
        "",
        within="place(",
        tests="recovery",
    ),
    lua("extend: behind a closed fence", CLOSED, "", within="extend("),
    lua(
        "extend: what is unknown",
        "  if not register then\n    return { 'UNKNOWN' }\n  end\n",
        "",
        within="extend(",
    ),
    lua(
        "extend: what ended", "if register.state ~= 'open' then", "if false then", within="extend("
    ),
    lua("extend: progress goes back", "if target >= register.progress_target then", "if true then"),
    lua(
        "charge: the hold is not released",
        "    released = register.amount\n",
        "",
        within="charge(",
        tests="holds",
    ),
    lua(
        "charge: more than is available",
        "math.min(due - kept, math.max(wallet.available + released - kept, 0))",
        "(due - kept)",
        tests="holds",
    ),
    lua(
        "charge: the register dies before it is booked",
        "  redis.call('PERSIST', hold_key)\n",
        "",
        within="charge(",
    ),
    lua(
        "charge: the lease stays",
        "  redis.call('ZREM', leases, request)\n",
        "",
        within="charge(",
        tests="reaper",
    ),
    lua(
        "charge: no event",
        "  add_event(events, 'usage', request, register, delta, how)\n",
        "",
        tests="drain",
    ),
    lua("settle: behind a closed fence", CLOSED, "", within="settle("),
    lua("settle: what is unknown", UNKNOWN, "", within="settle("),
    lua(
        "settle: a repetition charges",
        "if register.state == 'settled' and target <= register.target then",
        "if false then",
        tests="drain",
    ),
    lua("settle_late: behind a closed fence", CLOSED, "", within="settle_late("),
    lua(
        "settle_late: without a wallet",
        "if not read_wallet(keys[2]) then",
        "if false then",
        within="settle_late(",
    ),
    lua(
        "settle_late: over what is known",
        "if not read_register(keys[3], epoch) then",
        "if true then",
    ),
    lua("void: behind a closed fence", CLOSED, "", within="void("),
    lua("void: what is unknown", UNKNOWN, "", within="void("),
    lua(
        "void: again",
        "  if register.state == 'void' then\n",
        "  if false then\n",
        within="void(",
        tests="holds",
    ),
    lua(
        "void: what was settled",
        "if register.state ~= 'open' then",
        "if false then",
        within="void(",
        tests="holds",
    ),
    lua("reap: behind a closed fence", CLOSED, "", within="reap("),
    lua(
        "reap: the living",
        "if lease and not is_dead and tonumber(lease) > now_ms() then",
        "if false then",
    ),
    lua(
        "reap: what is unknown",
        "if not register or not wallet then",
        "if false then",
        within="reap(",
    ),
    lua(
        "reap: what ended",
        "if register.state ~= 'open' then",
        "if false then",
        within="reap(",
        tests="reaper",
    ),
    lua(
        "reap: without regard to progress",
        "if register.progress ~= '' then",
        "if false then",
        tests="reaper",
    ),
    lua(
        "reap: a receipt for what never started",
        "elseif settlement == '-' then",
        "elseif false then",
        tests="reaper",
    ),
    lua("debit: behind a closed fence", CLOSED, "", within="debit("),
    lua("debit: without a wallet", MISSING, "", within="debit("),
    lua("debit: decided twice", "  if register then\n", "  if false then\n", within="debit("),
    lua(
        "debit: what is held expires",
        "math.max(spent_since, 0) - wallet.held",
        "math.max(spent_since, 0)",
        tests="drain",
    ),
    lua(
        "debit: what was spent expires",
        "amount - math.max(spent_since, 0) - wallet.held",
        "amount - wallet.held",
        tests="drain",
    ),
    lua("debit: more than is available", "math.min(most, wallet.available)", "most", tests="drain"),
    lua("ack: behind a closed fence", CLOSED_UNREAD.format("fence"), "", within="ack("),
    lua("ack: an event twice", "not seen[args[index]] and find_event", "find_event"),
    lua("ack: what is not there", "    if event then\n", "    if true then\n", within="ack("),
    lua(
        "ack: the register is kept for ever",
        "    redis.call('EXPIRE', registers[index], REGISTER_TTL_S)\n",
        "",
    ),
    lua("drained: behind a closed fence", CLOSED_UNREAD.format("keys[1]"), "", within="drained("),
    lua("backlog: behind a closed fence", CLOSED_UNREAD.format("keys[1]"), "", within="backlog("),
    lua("push: behind a closed fence", CLOSED_UNREAD.format("fence"), "", within="push("),
    lua("push: an older one", "elseif version > wallet.v then", "else", tests="pushes"),
    lua("push: fewer credits", "if credited < wallet.credited then", "if false then"),
    lua(
        "push: what was spent comes back",
        "text(credited - wallet.credited)",
        "text(posted - wallet.base)",
        tests="pushes",
    ),
    lua("read: behind a closed fence", CLOSED_UNREAD.format("keys[1]"), "", within="read("),
    lua("read: without a wallet", MISSING, "", within="read("),
    lua("restore_wallets: overtaken", OVERTAKEN, "", within="restore_wallets("),
    lua("restore_wallets: unchecked", "    int(args[at + 2], 'pend', 0)\n", ""),
    lua("restore_holds: overtaken", OVERTAKEN, "", within="restore_holds("),
    lua("keep: overtaken", OVERTAKEN, "", within="keep("),
    lua(
        "keep: without a new lease",
        "        redis.call('ZADD', keys[2], lease, args[at])\n",
        "",
        tests="recovery",
    ),
    lua("correct_event: overtaken", OVERTAKEN, "", within="correct_event("),
    lua(
        "correct_event: twice",
        "  if event then\n",
        "  if event or true then\n",
        within="correct_event(",
    ),
    lua("forget: overtaken", OVERTAKEN, "", within="forget("),
    lua("open: overtaken", OVERTAKEN, "", within="open("),
    lua(
        "open: a second time",
        "  if read_epoch(keys[1]) == epoch then\n    return { 'OK' }\n  end\n",
        "",
        within="open(",
    ),
    lua("begin: the fence stays open", "  epochs[keys[1]] = nil\n", "", within="begin("),
    lua(
        "close: the fence stays open",
        "  epochs[keys[1]] = nil\n  rebuilding[keys[1]] = nil\n  redis.call('DEL', keys[1])\n",
        "",
        within="close(",
    ),
    lua(
        "a full server can't settle",
        "register_ending('tp_settle', settle)",
        "redis.register_function('tp_settle', settle)",
        tests="client",
    ),
    lua(
        "a full server can't acknowledge",
        "register_ending('tp_ack', ack)",
        "redis.register_function('tp_ack', ack)",
        tests="client",
    ),
]

AROUND = [
    service(
        "a rebuild does not wait for drains",
        "rebuild_barrier",
        '        cursor.execute("SELECT pg_advisory_lock(%s, %s)", BARRIER)\n',
        '        cursor.execute("SELECT 1")\n',
        tests="recovery",
    ),
    service(
        "two rebuild at once",
        "rebuild_barrier",
        "        (is_mine,) = cursor.fetchone()\n",
        "        cursor.fetchone()\n        is_mine = True\n",
        tests="recovery",
    ),
    service(
        "any Redis will do",
        "recovery",
        "        client.demand_safe_server()\n",
        "",
        tests="recovery",
    ),
    service(
        "an overtaken rebuild goes on",
        "recovery",
        '            if reply[0] != b"OK":\n',
        "            if False:\n",
        tests="recovery",
    ),
    service(
        "holds are put back whole after their end",
        "rebuild_plan",
        "amount=min(held, target)",
        "amount=held",
        tests="recovery",
    ),
    service(
        "what is held may exceed what is there",
        "rebuild_plan",
        "    plan.shrink_to(wallets)\n",
        "",
        tests="recovery",
    ),
    service(
        "booked events count again",
        "rebuild_plan",
        "            is_booked = known is not None and is_covered(",
        "            is_booked = False and is_covered(",
        tests="recovery",
    ),
    service(
        "booked debits count again",
        "rebuild_plan",
        "is_booked, delta = event.reference in booked_debits, event.delta",
        "is_booked, delta = False, event.delta",
        tests="recovery",
    ),
    service(
        "a booked part of an event counts again",
        "rebuild_plan",
        "        if delta != event.delta:\n",
        "        if False:\n",
        tests="recovery",
    ),
    service(
        "holds without a line are kept",
        "rebuild_plan",
        "    plan.forgotten_holds = [request_id for request_id in leased if request_id not in stay]\n",
        "",
        tests="recovery",
    ),
    service(
        "a request is booked twice",
        "bookings",
        "    record = batch.records.get(event.reference)\n",
        "    record = None\n",
        tests="bookings",
    ),
    service(
        "a debit is booked twice",
        "bookings",
        "    if debit.booked_at is not None:\n",
        "    if False:\n",
        tests="bookings",
    ),
    service(
        "trouble of the database is that of the events",
        "drain",
        "    except (OperationalError, InterfaceError):\n        # Post",
        "    except ZeroDivisionError:\n        # Post",
        tests="bookings",
    ),
    service(
        "events are acknowledged before they are booked",
        "drain",
        "            booked = _book_batch(found)\n",
        "            booked = [e for e in map(_parse, found) if e]\n",
        tests="drain",
    ),
    service(
        "a closed shard is drained",
        "drain",
        "            found = client.read_events(shard, start=start, count=BATCH)\n",
        "            found = client.redis.xrange(keys.events(shard), min=start, count=BATCH)\n",
        tests="recovery",
    ),
    service(
        "a debit is decided again after it was booked",
        "debits",
        "Debit.objects.filter(pk__in=debit_ids, booked_at=None)",
        "Debit.objects.filter(pk__in=debit_ids)",
        tests="recovery",
    ),
    service(
        "journals go before they are booked",
        "adoption",
        "    return not to_be_booked\n",
        "    return True\n",
        tests="adoption",
    ),
    service(
        "a rotated journal's open requests are given up",
        "adoption",
        "[] if contents.is_rotated else contents.open_requests()",
        "contents.open_requests()",
        tests="adoption",
    ),
    service(
        "holds that were to be voided stay",
        "adoption",
        "    _void(client, [contents.held[r][0] for r in contents.voided if r in contents.held])\n",
        "",
        tests="adoption",
    ),
    service(
        "a late end is charged from nothing",
        "adoption",
        "        charged=booked.charged_credits,\n        target=booked.target_credits,\n",
        "        charged=0,\n        target=0,\n",
        tests="adoption",
    ),
    service(
        "the reaper writes receipts for what never started",
        "reaper",
        "without_progress=ending if hold.request_id in started else None",
        "without_progress=ending",
        tests="reaper",
    ),
    service(
        "debt is not paid",
        "ledger",
        "    paid = _pay_debt(wallet, lot, cause)\n",
        "    paid = 0\n",
        tests="drain",
    ),
    service(
        "a credit is posted twice",
        "ledger",
        "    if posted is not None:\n",
        "    if False:\n",
        tests="drain",
    ),
    Mutant(
        "the journal keeps half a line",
        "billing/journal.py",
        "            os.ftruncate(file, os.fstat(file).st_size - written)\n",
        "",
        "tests/billing/test_journal.py",
    ),
    Mutant(
        "the journal of a living process is taken",
        "billing/journal.py",
        "            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n            # Another",
        "            # Another",
        "tests/billing/test_journal.py",
    ),
    Mutant(
        "cancelled commands give their answers to others",
        "billing/wallet/connection.py",
        "reply = await asyncio.shield(answer)",
        "reply = await answer\n"
        "        except asyncio.CancelledError:\n"
        "            protocol._waiting.remove(answer)\n"
        "            raise",
        "connection",
    ),
    Mutant(
        "a late answer is given to the next command",
        "billing/wallet/connection.py",
        '            protocol.abort(ConnectionLost("Redis did not answer in time."))\n',
        "",
        "connection",
    ),
    Mutant(
        "a hold whose answer was lost stays",
        "billing/wallet/client.py",
        "        except ConnectionLost as error:\n            self._void_later(hold.facts)\n",
        "        except ConnectionLost as error:\n",
        "client",
    ),
]

MUTANTS = KNOWN_BUGS + GUARDS + AROUND
