"""Cells of NAS-Bench-101, and names of the nodes of a cell's graph."""

import numpy as np

from nas_gym.spaces.graphs import NODES, to_graphs

CELLS_101 = [
    "[[0, 1], [0, 0]] input,output",
    "[[0, 1, 1], [0, 0, 1], [0, 0, 0]] input,maxpool3x3,output",
    "[[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]] "
    "input,conv3x3-bn-relu,conv1x1-bn-relu,output",
    "[[0, 1, 0, 0, 0, 0, 1], [0, 0, 1, 0, 0, 0, 1], [0, 0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0], "
    "[0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0]] "
    "input,conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu,conv1x1-bn-relu,output",
]


def names_of(space, text):
    graphs = to_graphs(space, space.from_text([text]))
    kept = graphs.nodes[0] >= 0
    names = [NODES[node] for node in graphs.nodes[0][kept]]
    edges = np.argwhere(graphs.adjacency[0][kept][:, kept]).tolist()
    return names, {tuple(edge) for edge in edges if edge[1] < len(names) - 1}
