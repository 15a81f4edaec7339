"""scripts/safetensors_file.py: what is written comes back, what is damaged is refused."""

import json
import struct
import unittest

import numpy as np
import safetensors_file as files


class SafetensorsFile(unittest.TestCase):
    def test_tensors_come_back_with_their_metadata(self):
        random = np.random.default_rng(3)
        tensors = {"b.weight": random.normal(size=(3, 5)).astype(np.float32),
                   "a.bias": random.normal(size=7).astype(np.float32),
                   "empty": np.zeros((0, 4), np.float32)}
        found, metadata = files.from_bytes(files.to_bytes(tensors, {"format": "x"}))
        self.assertEqual(metadata, {"format": "x"})
        self.assertEqual(set(found), set(tensors))
        for name, values in tensors.items():
            np.testing.assert_array_equal(found[name], values)

    def test_tensors_lie_one_after_another_without_a_gap(self):
        data = files.to_bytes({"x": np.ones(3), "y": np.zeros((2, 2))}, {})
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8:8 + length])
        self.assertEqual(header["x"]["data_offsets"], [0, 12])
        self.assertEqual(header["y"]["data_offsets"], [12, 28])
        self.assertEqual(len(data), 8 + length + 28)

    def test_what_is_not_finite_is_refused_with_its_name(self):
        for value in (np.nan, np.inf):
            with self.assertRaisesRegex(files.FormatError, "fuse.norm"):
                files.to_bytes({"fuse.norm": np.array([1, value])}, {})

    def test_damage_is_refused(self):
        good = files.to_bytes({"x": np.ones(3)}, {})
        header = json.dumps({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 12]}}).encode()
        damaged = [b"", good[:7], good[:20], good[:-1], struct.pack("<Q", 1 << 63) + good[8:],
                   struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 2) + b"{x",
                   struct.pack("<Q", len(header)) + header + bytes(12),
                   good.replace(b"F32", b"F16"), good.replace(b"shape", b"sharp")]
        for data in damaged:
            with self.subTest(data=data), self.assertRaises(files.FormatError):
                files.from_bytes(data)


if __name__ == "__main__":
    unittest.main()
