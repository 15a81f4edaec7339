"""The commands of README.md and the tour of examples/movielens, run against a real daemon."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
from daemon import TESSERA, DaemonTest  # noqa: E402

DEFAULT_ADDRESS = "http://127.0.0.1:6333"


def curl_blocks(text):
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if block.startswith("curl ")]


class Readme(DaemonTest):
    def setUp(self):
        super().setUp()
        example = ROOT / "examples" / "movielens"
        done = subprocess.run(
            [TESSERA, "--url", self.daemon.url, "import", "films", example / "item_vectors.npy",
             "--payload", example / "items.jsonl", "--create", "--distance", "cosine"],
            check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def run_block(self, block):
        self.assertIn(DEFAULT_ADDRESS, block)
        command = block.replace(DEFAULT_ADDRESS, self.daemon.url)
        done = subprocess.run(["bash", "-euc", command], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(answer.get("status"), "ok", f"{command}\n{done.stdout}")
        self.wait_for_jobs()
        return answer["result"]

    def wait_for_jobs(self):
        deadline = time.monotonic() + 60
        client = self.daemon.client()
        while any(job["state"] in ("queued", "running")
                  for job in client.call("GET", "/jobs")["jobs"]):
            self.assertLess(time.monotonic(), deadline, "a job takes more than a minute")
            time.sleep(0.02)

    def test_every_curl_command_answers_as_the_text_says(self):
        near, filtered, created, stored, clusters, interests, rounds = map(
            self.run_block, curl_blocks((ROOT / "README.md").read_text(encoding="utf-8")))
        self.assertEqual(near["points"][0]["payload"], {"title": "Aliens (1986)"})
        self.assertEqual([len(near["points"]), len(filtered["points"])], [5, 5])
        self.assertNotEqual(near["points"], filtered["points"])
        self.assertIs(created, True)
        self.assertEqual(stored["status"], "completed")
        self.assertIn("job", clusters)
        self.assertEqual({point["id"] for point in interests["points"]}, {2, 4})
        self.assertEqual([interest["returned"] for interest in interests["interests"]], [1, 1])
        self.assertEqual([point["round"] for point in rounds["points"]], [1, 2, 3])

    def test_the_tour_shows_titles_of_every_kind_of_query_and_may_be_run_again(self):
        for _ in range(2):
            done = subprocess.run(
                ["/usr/bin/python3", ROOT / "examples" / "movielens" / "demo.py",
                 "--url", self.daemon.url], capture_output=True, text=True, timeout=120,
                check=False, env={**os.environ, "PYTHONIOENCODING": "utf-8"})
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("6,993 films", done.stdout)
            for line in ("Films near Alien (1979)", "Aliens (1986)", "comedies of the 1980s",
                         "interest 1,", "interest 4,", "round 1 ", "round 5 "):
                self.assertIn(line, done.stdout)
            self.assertEqual(len(re.findall(r"^ +-?\d\.\d{3}  ", done.stdout, re.MULTILINE)),
                             6 + 6 + 16 + 15, done.stdout)


if __name__ == "__main__":
    unittest.main()
