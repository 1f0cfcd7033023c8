"""The fixed words of reports and cards in English and Chinese, and how numbers are written in both."""

from __future__ import annotations

import math
import re
from typing import Literal

from rondo.errors import UsageError, nearest

Language = Literal["en", "zh"]

LABELS: dict[str, dict[str, str]] = {
    "en": {
        "report": "report",
        "contents": "Contents",
        "network": "The network",
        "baseline": "baseline",
        "best": "best",
        "ours": "ours",
        "yardstick": "for comparison",
        "name": "Name",
        "interval": "interval",
        "lower": "lower is better",
        "higher": "higher is better",
        "right": "right",
        "wrong": "wrong",
        "yes": "yes",
        "no": "no",
        "read_as": "read as {reading}",
        "is": "is {truth}",
        "figure": "Figure",
        "bars": "The same figures as bars; thin lines are the intervals.",
        "bars_plain": "The same figures as bars.",
        "needs_script": "This figure is drawn by the script inside this page; it needs JavaScript to be on.",
        "seed": "Seed",
        "command": "Command",
        "python_call": "called from Python",
        "started": "Started",
        "seconds": "Time",
        "processor": "Processor",
        "threads": "Threads",
        "cores": "usable cores: {cores}",
        "memory": "Memory",
        "device": "Device",
        "system": "System",
        "versions": "Versions",
        "data": "Data",
        "file": "File",
        "files": "{count} files",
        "files_in": "{count} files in {folder}",
        "size": "Size",
        "provenance": "Where this comes from",
        "provenance_note": "What it takes to run this again, and the machine it ran on.",
        "next": "What to type next",
        "step": "step",
        "best_point": "best: {value}",
        "kept_point": "kept: {value}",
        "written_by": "Written by Rondo {version}. This page is one file and loads nothing from the network.",
        "task": "Task",
        "cell": "Cell",
        "parameters": "Parameters",
        "count": "Count",
        "part": "Part",
        "results": "Results",
        "use": "How to use it",
        "shell": "From the shell:",
        "python": "From Python:",
        "equations": "The cell",
        "limits": "What it cannot do",
        "card_note": "Model folder written by Rondo {version}.",
        "model": "The model",
        "said": "Said",
        "truth": "Truth",
        "confidence": "confidence",
        "time_step": "step",
        "influence": "influence",
        "share_right": "share that is right",
        "honest": "where probabilities mean what they say",
        "no_baseline": "{ours}: {value}. No baseline was measured, so this figure says little by itself.",
        "ahead": "{ours} is ahead: {value}, against {rival_value} for the strongest baseline ({rival}).",
        "level": "{ours} is about level with the strongest baseline: {value} against {rival_value} ({rival}).",
        "tied": "{ours} is level with the strongest baseline: {value} against {rival_value} ({rival}).",
        "behind": "A baseline wins: {rival} has {rival_value}, {ours_inside} {value}.",
        "behind_perhaps": "A baseline is ahead: {rival} has {rival_value}, {ours_inside} {value}.",
        "within": " The difference lies within the interval.",
        "perhaps_chance": " The difference may be chance: {difference}.",
        "unknown_chance": " Whether the difference is chance cannot be told: {difference}, without an interval.",
        "points": " points",
        "not_finite": "{ours} has no finite {metric}: training failed.",
    },
    "zh": {
        "report": "报告",
        "contents": "目录",
        "network": "网络",
        "baseline": "基线",
        "best": "最佳",
        "ours": "本模型",
        "yardstick": "供参照",
        "name": "名称",
        "interval": "区间",
        "lower": "越低越好",
        "higher": "越高越好",
        "right": "正确",
        "wrong": "错误",
        "yes": "是",
        "no": "否",
        "read_as": "读作 {reading}",
        "is": "实为 {truth}",
        "figure": "图",
        "bars": "同样的数以条形表示，细线为区间。",
        "bars_plain": "同样的数以条形表示。",
        "needs_script": "此图由页面内的脚本绘制，请启用 JavaScript。",
        "seed": "随机种子",
        "command": "命令",
        "python_call": "由 Python 调用",
        "started": "开始时间",
        "seconds": "用时",
        "processor": "处理器",
        "threads": "线程数",
        "cores": "可用 {cores} 核",
        "memory": "内存",
        "device": "设备",
        "system": "系统",
        "versions": "版本",
        "data": "数据",
        "files": "{count} 个文件",
        "files_in": "{folder} 中的 {count} 个文件",
        "file": "文件",
        "size": "大小",
        "provenance": "来历",
        "provenance_note": "重做一遍所需的一切，以及所用的机器。",
        "next": "接下来可以输入",
        "step": "步",
        "best_point": "最佳：{value}",
        "kept_point": "保留：{value}",
        "written_by": "由 Rondo {version} 生成。本页为单个文件，不从网络加载任何内容。",
        "task": "任务",
        "cell": "单元",
        "parameters": "参数个数",
        "count": "数量",
        "part": "部分",
        "results": "结果",
        "use": "用法",
        "shell": "命令行：",
        "python": "Python：",
        "equations": "单元方程",
        "limits": "局限",
        "card_note": "此模型文件夹由 Rondo {version} 写成。",
        "model": "模型",
        "said": "判为",
        "truth": "实为",
        "confidence": "置信度",
        "time_step": "时间步",
        "influence": "影响",
        "share_right": "判对的比例",
        "honest": "概率与事实相符之处",
        "no_baseline": "{ours}：{value}。没有测量基线，单看这个数说明不了多少。",
        "ahead": "{ours}领先：{value}，最强基线（{rival}）为 {rival_value}。",
        "level": "{ours}与最强基线大致相当：{value}，基线（{rival}）为 {rival_value}。",
        "tied": "{ours}与最强基线持平：{value}，基线（{rival}）为 {rival_value}。",
        "behind": "基线胜出：{rival}为 {rival_value}，{ours_inside}为 {value}。",
        "behind_perhaps": "基线领先：{rival}为 {rival_value}，{ours_inside}为 {value}。",
        "within": "差别在区间之内。",
        "perhaps_chance": "差别可能出于偶然：{difference}。",
        "unknown_chance": "差别是否出于偶然无从判断：{difference}，没有区间。",
        "points": " 个百分点",
        "not_finite": "{ours}的{metric}不是有限的数：训练失败。",
    },
}

_HAN = re.compile(r"[\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def label(key: str, language: str = "en", **values: object) -> str:
    """A fixed word or sentence, its ``{names}`` filled in."""
    if language not in LABELS:
        raise UsageError(f"unknown report language '{language}'{nearest(language, LABELS)}")
    text = LABELS[language][key]
    return text.format(**values) if values else text


def has_han(text: str) -> bool:
    """Whether the text holds Chinese characters, so that the page can ask for a Chinese font."""
    return _HAN.search(text) is not None


def number(value: float | None, *, digits: int = 3, percent: bool = False) -> str:
    """A figure for a table: fixed digits, a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value * 100:,.{digits}f} %" if percent else f"{value:,.{digits}f}"
    return text.replace("-", "−")


def duration(seconds: float, language: str = "en") -> str:
    """Seconds as people say them: ``4 min 10 s``."""
    hour, minute, second = (" 小时", " 分", " 秒") if language == "zh" else (" h", " min", " s")
    if seconds < 10:
        return f"{seconds:.1f}{second}"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}{hour} {minutes}{minute}"
    return f"{minutes}{minute} {rest}{second}" if minutes else f"{rest}{second}"


def size(count: int) -> str:
    """Bytes as people say them: ``1.1 MB`` (powers of 1000, as in file managers)."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
