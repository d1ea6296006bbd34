"""The server under attack: a process of hostile_server."""

import json
import resource
import signal
import subprocess
import tempfile

# Of a stop, an answer to a signal and so on: what takes longer hangs.
PATIENCE = 60


class Server:
    """`address_space`: bytes that its process may map, by the system's limit. Its arguments are options by name, with
    `_` for `-`."""

    def __init__(self, program, address_space=None, **options):
        arguments = [str(program)]
        for name, value in options.items():
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        self._errors = tempfile.TemporaryFile()

        def limit():
            if address_space is not None:
                resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=self._errors, preexec_fn=limit)
        port = self.process.stdout.readline()
        if not port:
            raise RuntimeError(f"{program} did not start: {self.errors()}")
        self.address = ("127.0.0.1", int(port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stdout.close()
        self._errors.close()

    def alive(self):
        return self.process.poll() is None

    def state(self):
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.process.stdout.readline())

    def stop(self):
        """Its last state; an error if it ends otherwise than well."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        if self.process.returncode != 0:
            raise RuntimeError(f"the server ended with {self.process.returncode}: {self.errors()}")
        return json.loads(self.process.stdout.read())

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()

    def errors(self):
        """Returns its output to stderr."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def resident(self):
        """MiB."""
        return self._of_status("VmRSS") / 1024

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def _of_status(self, name):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
        return 0
