"""Guards of processes: the web's journal and its connection to Redis, a worker's sweeps."""

from bench.mutants.mutant import Mutant

MUTANTS: list[Mutant] = [
    Mutant(
        "a sweep runs twice at once",
        "tokenproxy_site/sweep_task.py",
        "            if name in self._by_name:\n                return False\n",
        "",
        "tests/billing/payments/test_silent_stripe.py"
        "::test_two_threads_wait_for_stripe_and_the_others_go_on",
    ),
    Mutant(
        "the journal charges what an upstream refused",
        "billing/wallet/journal.py",
        "            self.if_lost.pop(facts.request_id, None)\n",
        "",
        "adoption::test_a_request_that_its_upstream_refused_is_charged_nothing",
    ),
    Mutant(
        "a new journal forgets that an upstream was asked",
        "billing/wallet/journal.py",
        "                self._append(self._file, line)\n",
        "                self._append(self._file, line[:3])\n",
        "tests/billing/wallet/test_journal.py::test_a_new_file_knows_which_upstreams_were_asked",
    ),
    Mutant(
        "the journal keeps half a line",
        "billing/wallet/journal.py",
        "            os.ftruncate(file, os.fstat(file).st_size - written)\n",
        "",
        "tests/billing/wallet/test_journal.py::test_a_full_disk_leaves_no_half_line",
    ),
    Mutant(
        "the journal of a living process is taken",
        "billing/wallet/journal.py",
        "            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n            # Another",
        "            # Another",
        "tests/billing/wallet/test_journal.py::test_a_living_process_keeps_its_file",
    ),
    Mutant(
        "cancelled commands give their answers to others",
        "billing/wallet/connection.py",
        "            self._waiting.popleft().resolve(reply)\n",
        "            asked = self._waiting.popleft()\n"
        "            while all(answer.done() for answer in asked.answers):\n"
        "                asked = self._waiting.popleft()\n"
        "            asked.resolve(reply)\n",
        "connection::test_a_cancelled_task_does_not_shift_the_answers_of_the_others",
    ),
    Mutant(
        "a late answer is given to the next command",
        "billing/wallet/connection.py",
        '            self.abort(ConnectionLost("Redis did not answer in time."))\n',
        "            while self._waiting:\n"
        "                for answer in self._waiting.popleft().answers:\n"
        '                    answer.set_exception(ConnectionLost("late"))\n',
        "connection::test_a_late_answer_is_not_given_to_the_next_command",
    ),
    Mutant(
        "the alarm rings once",
        "billing/wallet/connection.py",
        "        elif self._waiting:\n",
        "        elif False:\n",
        "connection::test_a_server_that_falls_silent_later_is_noticed_in_time",
    ),
    Mutant(
        "a hold whose answer was lost stays",
        "billing/wallet/client.py",
        "        except ConnectionLost as error:\n            self._void_later(hold.facts)\n",
        "        except ConnectionLost as error:\n",
        "client::test_a_hold_whose_answer_was_lost_is_voided",
    ),
]
