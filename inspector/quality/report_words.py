"""The words of printed reports, in English and Simplified Chinese.

Enters: a language. Leaves: words by name, and how what the record says in English is said in it.
``report.py`` and ``sheet.py`` import it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from inspector.quality.errors import QualityError

Say = Callable[[str], str]
"""What the record says (a label, a reason) in a report's language. The catalogue is the pages', so
whoever stands above both hands it in."""

LANGUAGES = ("en", "zh")

_EN = {
    "batch_report": "Batch report", "article": "First article inspection", "page": "Page {0}",
    "product": "Product", "recipe": "Recipe", "station": "Station", "line": "Line",
    "began": "Began", "ended": "Ended", "running": "still running", "expected": "Expected print",
    "digest": "Recipe digest", "models": "Models", "software": "Software", "made": "Report made",
    "parts": "parts", "inspected": "Inspected", "yield": "Yield", "rejected": "Rejected",
    "errors": "Not judged", "status": "Status", "stands_hold": "on hold",
    "stands_release": "released", "stands_scrap": "scrapped", "stands_rework": "to rework",
    "none": "none",
    "counts": "Counts and reconciliation", "what": "What", "count": "Count", "check": "Check",
    "triggers": "Part numbers counted by the trigger authority", "records": "Verdict records",
    "pass": "Passed", "reject": "Rejected", "error": "Not judged (rejected)",
    "not_inspected": "By-pass, not inspected", "others": "Set-up, challenge and other modes",
    "permits": "Let through by the gate", "gate_rejects": "Refused at the gate",
    "gate_unheard": "Gate decisions never acknowledged", "gate_silent": "Parts without a gate word",
    "agrees": "agrees", "differs": "differs by {0}",
    "infeed": "Infeed sensor", "confirmed": "Rejects confirmed behind the gate",
    "commanded": "Rejects commanded at the gate",
    "refused": "… that the station had asked for", "late": "… whose decision came too late",
    "withheld": "… while the station was not ready",
    "pareto": "What was wrong", "spc": "Statistical process control",
    "p_chart": "p-chart, {0}: share of faulty parts in subgroups of {1}",
    "u_chart": "u-chart: defects per part", "xbar": "X-bar chart, {0} [{1}]",
    "range": "R-chart, {0}",
    "all faults": "all faults", "in_control": "In control: no rule has spoken.",
    "out_of_control": "Out of control: {0} of {1} subgroups are signals.",
    "rules_spoke": "Out of control: rules have spoken, see the SPC alarms among the deviations.",
    "too_few": "Too few parts for a control chart: {0} of a subgroup's {1}.",
    "rules_said": "Rules: 1 beyond 3σ, 9 on a side, 2 of 3 beyond 2σ, 4 of 5 beyond 1σ; together"
    " they alarm falsely once in {0} subgroups.",
    "capability": "Capability", "measure": "Measure", "mean": "Mean", "interval": "95 % interval",
    "pictures": "Defects", "part_n": "Part {0}", "kept_for": "not kept",
    "articles": "First article", "attempt": "Attempt", "result": "Result", "step": "Step",
    "seen": "Seen", "passed": "passed", "failed": "failed", "unsigned": "not signed",
    "signed_by": "signed by {0}", "station_time": "{0} s of station time",
    "station_s": "Station time",
    "challenges": "Challenge tests", "at": "Time", "asked_by": "Asked by", "seeded": "Seeded parts",
    "good": "good", "inconclusive": "inconclusive", "missed": "not done in time",
    "deviations": "Deviations", "event": "Event", "detail": "Detail", "who": "Who",
    "alarm": "Alarm", "bypass": "By-pass", "hold": "Disposition", "spc_alarm": "SPC alarm",
    "drift": "Drift", "no_deviations": "None in the time of this batch.",
    "signatures": "Signatures", "name": "Name", "meaning": "Meaning", "subject": "Of",
    "by": "Given by", "no_signatures": "No signature concerns this batch.",
    "proof": "Ledger proof", "root": "Merkle root", "checkpoint": "Checkpoint",
    "records_under": "records signed under it", "key": "Public key", "verify": "Verification",
    "verified": "every record, checkpoint and link agrees", "not_verified": "not run",
    "bad": "BAD: {0}", "pin": "PIN", "password": "password", "more": "and {0} more",
    "more_failed": "{0} earlier attempts that failed are in the ledger.",
    "proof_note": "Check it: inspector verify DATA --key public.pem. A report is a view; the ledger"
    " is the record.",
    "golden": "Golden parts pass", "print": "Code and date as ordered", "measures": "Measures in"
    " tolerance", "focus": "Focus as at sign-off", "light": "Light as at sign-off",
    "seeded_step": "Seeded part is rejected: {0}", "waiting": "waiting", "ok": "ok",
    "not_applicable": "not applicable", "looked_at": "Parts", "outcome": "Outcome", "number": "No.",
    "sign_here": "Signature",
    "sheet_note": "Until this sheet is signed the line rejects every part.",
    "first_article": "First article", "line_clearance": "Line clearance",
    "batch_release": "Batch release", "batch_hold": "Batch hold", "batch_reject": "Batch rejection",
    "recall": "Recall",
}  # fmt: skip
_ZH = {
    "batch_report": "批次报告", "article": "首件检验", "page": "第 {0} 页",
    "product": "产品", "recipe": "配方", "station": "检测站", "line": "产线",
    "began": "开始", "ended": "结束", "running": "生产中", "expected": "应印内容",
    "digest": "配方摘要", "models": "模型", "software": "软件", "made": "报告生成于",
    "parts": "件", "inspected": "检测数", "yield": "合格率", "rejected": "剔除", "errors": "未判定",
    "status": "状态", "stands_hold": "已扣留", "stands_release": "已放行", "stands_scrap": "已报废",
    "stands_rework": "待返工", "none": "无",
    "counts": "计数与核对", "what": "项目", "count": "数量", "check": "核对",
    "triggers": "触发计数的工件编号", "records": "判定记录", "pass": "合格", "reject": "剔除",
    "error": "未判定（已剔除）", "not_inspected": "旁路，未检测", "others": "调试、挑战及其他模式",
    "permits": "剔除装置放行", "gate_rejects": "剔除装置剔除",
    "gate_unheard": "未获确认的剔除装置指令", "gate_silent": "未下达剔除装置指令的工件",
    "agrees": "一致", "differs": "相差 {0}",
    "infeed": "入口传感器", "confirmed": "剔除后确认数", "commanded": "剔除指令数",
    "refused": "其中由检测站要求", "late": "其中决定到达过晚", "withheld": "其中检测站未就绪时",
    "pareto": "缺陷排列", "spc": "统计过程控制",
    "p_chart": "p 图，{0}：每组 {1} 件的不良率", "u_chart": "u 图：单件缺陷数",
    "xbar": "均值图，{0} [{1}]", "range": "极差图，{0}", "all faults": "全部缺陷",
    "in_control": "受控：无判异规则触发。", "out_of_control": "失控：{1} 组中有 {0} 组报警。",
    "rules_spoke": "失控：判异规则曾触发，见“偏差”中的 SPC 报警。",
    "too_few": "工件太少，无法作控制图：{0} / {1}。",
    "rules_said": "判异规则：1 点超出 3σ；连续 9 点同侧；3 点中 2 点超出 2σ；5 点中 4 点超出 1σ。"
    "合计每 {0} 组误报一次。",
    "capability": "过程能力", "measure": "测量项", "mean": "均值", "interval": "95 % 置信区间",
    "pictures": "缺陷图像", "part_n": "工件 {0}", "kept_for": "未保留",
    "articles": "首件检验", "attempt": "次数", "result": "结果", "step": "步骤", "seen": "所见",
    "passed": "通过", "failed": "未通过", "unsigned": "未签名", "signed_by": "{0} 已签名",
    "station_time": "占用检测站 {0} 秒", "station_s": "占用时间",
    "challenges": "挑战测试", "at": "时间", "asked_by": "发起人", "seeded": "缺陷样件",
    "good": "合格", "inconclusive": "无结论", "missed": "未按时进行",
    "deviations": "偏差", "event": "事件", "detail": "说明", "who": "人员", "alarm": "报警",
    "bypass": "旁路", "hold": "处置", "spc_alarm": "SPC 报警", "drift": "漂移",
    "no_deviations": "本批次期间无偏差。",
    "signatures": "电子签名", "name": "姓名", "meaning": "含义", "subject": "对象", "by": "方式",
    "no_signatures": "本批次无签名。",
    "proof": "台账证明", "root": "默克尔根", "checkpoint": "检查点",
    "records_under": "条记录已签名",
    "key": "公钥", "verify": "验证", "verified": "全部记录、检查点和链接一致",
    "not_verified": "未运行", "bad": "异常：{0}", "pin": "PIN", "password": "密码",
    "more": "另有 {0} 条", "more_failed": "此前另有 {0} 次未通过，见台账。",
    "proof_note": "验证方法：inspector verify DATA --key public.pem。"
    "报告仅为视图，以台账记录为准。",
    "golden": "合格样件通过", "print": "条码与日期符合订单", "measures": "尺寸在公差内",
    "focus": "对焦与签核时一致", "light": "光照与签核时一致", "seeded_step": "缺陷样件“{0}”被剔除",
    "waiting": "等待", "ok": "合格", "not_applicable": "不适用", "looked_at": "工件",
    "outcome": "结果", "number": "编号", "sign_here": "签名",
    "sheet_note": "本单签名之前，产线剔除所有工件。",
    "first_article": "首件检验", "line_clearance": "清场",
    "batch_release": "批次放行", "batch_hold": "批次扣留", "batch_reject": "批次拒绝",
    "recall": "召回",
}  # fmt: skip

WORDS: Mapping[str, Mapping[str, str]] = {"en": _EN, "zh": _ZH}


class Words(dict[str, str]):
    """A language's words by name."""

    def __init__(self, language: str, say: Say = str) -> None:
        """Raises ``QualityError``: no such language."""
        if language not in WORDS:
            raise QualityError(f"no language {language!r}; there are {', '.join(LANGUAGES)}")
        super().__init__(WORDS[language])
        self.say = say
        """What the record says, in this language."""
