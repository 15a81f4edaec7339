"""The dialect's own JavaScript client, from the package registry, against the real daemon."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

from daemon import DaemonTest

PACKAGE = "@qdrant/js-client-rest@1.19.0"
HERE = pathlib.Path(__file__).parent


class JsClient(DaemonTest):
    def test_every_call_of_the_client_is_understood(self):
        for tool in ("node", "npm"):
            if shutil.which(tool) is None:
                self.skipTest(f"{tool} is not installed (Debian: nodejs, npm)")
        folder = tempfile.mkdtemp(prefix="tessera-js-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        installed = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", folder,
             PACKAGE], capture_output=True, text=True, timeout=300)
        if installed.returncode != 0:
            self.skipTest(f"npm could not install {PACKAGE}: {installed.stderr[-300:]}")
        run = subprocess.run(["node", str(HERE / "js" / "client.mjs"), self.daemon.url, folder],
                             capture_output=True, text=True, timeout=120)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)


if __name__ == "__main__":
    unittest.main()
