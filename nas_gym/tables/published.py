"""Downloadable files, each pinned to a commit of the publisher's repository."""

from __future__ import annotations

from nas_gym.utils.download import RemoteFile

NATS_CSV = RemoteFile(
    "nats_bench.csv",
    "https://raw.githubusercontent.com/v-tao/nats-bench-landscape/"
    "b307ae5fe6e8d7043cd4fe7d1c3532288271adb7/nats_bench.csv",
    "cb5d777ec3368be83c8f9b3aa4d520696051cb0eb8d94b8f85b519f9ea4afa3e",
)

HELP_DEVICES = (
    "1080ti_1", "1080ti_256", "1080ti_32", "2080ti_1", "2080ti_256", "2080ti_32", "essential_ph_1",
    "eyeriss", "fpga", "gold_6226", "gold_6240", "pixel2", "pixel3", "raspi4", "samsung_a50",
    "samsung_s7", "silver_4114", "silver_4210r", "titan_rtx_1", "titan_rtx_256", "titan_rtx_32",
    "titanx_1", "titanx_256", "titanx_32", "titanxp_1", "titanxp_256", "titanxp_32",
)  # fmt: skip
HELP_COMMIT = "45f70eb92d0d735970a33b608d1544ad3c52f285"
HELP_FOLDER = "data/nasbench201/latency"  # in the repository
HELP_FILES = tuple(
    RemoteFile(
        f"help-nasbench201/{device}.pt",
        f"https://raw.githubusercontent.com/HayeonLee/HELP/{HELP_COMMIT}/{HELP_FOLDER}/{device}.pt",
    )
    for device in HELP_DEVICES
)

HW_NAS_BENCH_360_COMMIT = "a9b243e07fb8f0671ee56587696e7b8ef1ca702d"
HW_NAS_BENCH_360 = RemoteFile(
    "hw_nas_bench_360.parquet",
    "https://raw.githubusercontent.com/roldebijvank/HW-NAS-Bench-360/"
    f"{HW_NAS_BENCH_360_COMMIT}/results/dataset.parquet",
    "d3ce4198e31564486b7194ba28507bea3867cb16a2587d68d82e3b62cfff4cce",
)

ACCEL_NASBENCH_COMMIT = "dcd4d726b33197dd9bc3d74a20393013398600ae"
ACCEL_NASBENCH = RemoteFile(
    "anb_dataset_jsons.tar.gz",
    "https://raw.githubusercontent.com/afzalxo/Accel-NASBench/"
    f"{ACCEL_NASBENCH_COMMIT}/anb_dataset/anb_dataset_jsons.tar.gz",
    "3520992d42e368b7c08c99fc3f6612855b5b366bf98668a7f19d49f3131aa4ae",
)
