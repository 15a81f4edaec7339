"""scripts/bench_plot.py: which points are drawn, and where."""

import random
import unittest
import xml.etree.ElementTree as ElementTree

import bench_plot

SVG = "{http://www.w3.org/2000/svg}"


def point(recall: float, speed: float) -> dict:
    return {"setting": "ef 10", "recall": recall, "per_cpu_second": speed, "per_second": speed}


def result(*curves: tuple[str, str, list[dict]]) -> dict:
    return {"data": "mnist", "setting": {"rows": 10, "dim": 2},
            "curves": [{"key": name, "name": name, "kind": kind, "points": points}
                       for name, kind, points in curves]}


class BestPoints(unittest.TestCase):
    def test_no_point_left_out_beats_all_and_no_point_drawn_is_beaten(self):
        seed = random.randrange(1 << 32)
        source = random.Random(seed)
        points = [point(source.random(), source.random()) for _ in range(50)]
        best = set(bench_plot.best_points(points))
        for one in points:
            is_beaten = any(
                other is not one and other["recall"] >= one["recall"]
                and other["per_cpu_second"] >= one["per_cpu_second"] for other in points)
            self.assertEqual((one["recall"], one["per_cpu_second"]) not in best, is_beaten,
                             f"seed {seed}")


class Drawing(unittest.TestCase):
    def test_it_is_well_formed_with_a_panel_for_each_kind_that_is_there(self):
        curve = [point(0.9, 2000), point(0.99, 1000)]
        one = ElementTree.fromstring(bench_plot.draw(result(("a & b", "graph", curve))))
        two = ElementTree.fromstring(bench_plot.draw(
            result(("a", "graph", curve), ("b", "ivf", curve))))
        self.assertEqual(len(one.findall(f"{SVG}polyline")), 1)
        self.assertEqual(len(two.findall(f"{SVG}polyline")), 2)
        self.assertIn("a & b", [element.text for element in one.findall(f"{SVG}text")])

    def test_more_recall_is_further_right_and_more_speed_higher_up(self):
        picture = ElementTree.fromstring(bench_plot.draw(
            result(("a", "graph", [point(0.9, 2000), point(0.99, 1000), point(1.0, 500)]))))
        places = [tuple(map(float, place.split(",")))
                  for place in picture.find(f"{SVG}polyline").get("points").split()]
        self.assertEqual(places, sorted(places))
        self.assertEqual([y for _, y in places], sorted(y for _, y in places))
        width, height = float(picture.get("width")), float(picture.get("height"))
        for x, y in places:
            self.assertTrue(0 < x < width and 0 < y < height)

    def test_a_result_without_curves_is_refused(self):
        for bad in ({}, {"curves": 3}, result(), result(("a", "graph", [point(0.1, 5)]))):
            with self.assertRaises(bench_plot.PlotError):
                bench_plot.draw(bad)


if __name__ == "__main__":
    unittest.main()
