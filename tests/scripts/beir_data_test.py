"""Reading of BEIR folders and the latent semantic vectors of scripts/beir_data.py."""

import gzip
import os
import tempfile
import unittest

import beir_data
import numpy as np
from trec_metrics import FormatError


class Folder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = temporary.name
        os.mkdir(os.path.join(self.root, "qrels"))
        with gzip.open(os.path.join(self.root, "corpus.jsonl.gz"), "wt") as file:
            file.write('{"_id": "10", "title": "A title", "text": "a text"}\n'
                       '{"_id": "9", "title": "", "text": "no title"}\n')
        self.write("queries.jsonl", '{"_id": "q2", "text": "two"}\n{"_id": "q1", "text": "one"}\n'
                                    '{"_id": "q3", "text": "of another split"}\n')
        self.write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\t9\t1\nq2\t10\t2\n")

    def write(self, name, text):
        with open(os.path.join(self.root, name), "w", encoding="utf-8") as file:
            file.write(text)

    def save(self, name, rows):
        path = os.path.join(self.root, name)
        np.save(path, np.array(rows, dtype=np.float32))
        return path

    def test_texts_keep_file_order_and_only_judged_queries_stay(self):
        corpus, queries, qrels = beir_data.load_folder(self.root, "test")
        self.assertEqual(corpus, {"10": "A title a text", "9": "no title"})
        self.assertEqual(list(queries), ["q2", "q1"])
        self.assertEqual(qrels, {"q1": {"9": 1}, "q2": {"10": 2}})

    def test_a_judged_query_without_text_is_an_error(self):
        self.write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq9\t9\t1\n")
        with self.assertRaisesRegex(FormatError, "query q9 is judged"):
            beir_data.load_folder(self.root, "test")

    def test_bad_lines_and_repeated_ids_are_named(self):
        for text, message in (("{}\n", ":1: not a document"), ("no json\n", ":1: not a document"),
                              ('{"_id": "a", "text": "x"}\n' * 2, ":2: id a is there twice")):
            self.write("queries.jsonl", text)
            with self.assertRaisesRegex(FormatError, message):
                beir_data.load_folder(self.root, "test")

    def test_a_missing_split_is_named(self):
        with self.assertRaisesRegex(FormatError, "train.tsv: no such file"):
            beir_data.load_folder(self.root, "train")

    def test_vectors_follow_file_order_or_the_given_ids(self):
        path = self.save("v.npy", [[1, 0], [0, 1]])
        self.write("ids.txt", "b\na\n")
        np.testing.assert_array_equal(beir_data.load_vectors(path, None, ["a", "b"]),
                                      [[1, 0], [0, 1]])
        ids = os.path.join(self.root, "ids.txt")
        np.testing.assert_array_equal(beir_data.load_vectors(path, ids, ["a", "b"]),
                                      [[0, 1], [1, 0]])
        with self.assertRaisesRegex(FormatError, "no line for id c"):
            beir_data.load_vectors(path, ids, ["a", "c"])
        with self.assertRaisesRegex(FormatError, "2 rows for 3 texts"):
            beir_data.load_vectors(path, None, ["a", "b", "c"])

    def test_vectors_that_are_not_finite_are_refused(self):
        with self.assertRaisesRegex(FormatError, "finite"):
            beir_data.load_vectors(self.save("v.npy", [[float("nan"), 0]]), None, ["a"])


class LatentSemantics(unittest.TestCase):
    def setUp(self):
        random = np.random.default_rng(3)
        topics = [[f"t{topic}w{word}" for word in range(30)] for topic in range(6)]
        self.topic = random.integers(0, 6, 120)
        self.texts = [" ".join(random.choice(topics[topic], 12)) for topic in self.topic]

    def test_texts_of_one_topic_are_near_without_a_common_word_needed(self):
        vectors = beir_data.Lsa(self.texts, 6).embed(self.texts)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
        cosines = vectors @ vectors.T
        same = self.topic[:, None] == self.topic[None, :]
        self.assertGreater(cosines[same].min(), 0.8)
        self.assertLess(np.abs(cosines[~same]).max(), 0.2)

    def test_the_projection_spans_the_leading_singular_vectors(self):
        model = beir_data.Lsa(self.texts, 6)
        sparse = [model._weighted(beir_data.Counter(beir_data.words(t))) for t in self.texts]
        matrix = np.vstack(list(model._dense(sparse))).astype(np.float64)
        values = np.linalg.svd(matrix, compute_uv=False)
        kept = np.square(matrix @ model._projection).sum()
        self.assertGreater(kept / np.square(values[:6]).sum(), 0.99)

    def test_it_is_deterministic_and_an_unknown_text_is_zero(self):
        first, again = (beir_data.Lsa(self.texts, 6).embed(["t1w1 t1w2", "unknown"])
                        for _ in range(2))
        np.testing.assert_array_equal(first, again)
        self.assertFalse(first[1].any())

    def test_more_dimensions_than_documents_is_an_error(self):
        with self.assertRaisesRegex(FormatError, "--dim 500"):
            beir_data.Lsa(self.texts, 500)


if __name__ == "__main__":
    unittest.main()
