"""What the tools' settings are called and mean, in Chinese: the recipe editor's words.

A recipe's own keys are English, and so is what the tools' code says of them. Here each key has its
name, each number of a row its part, and each sentence its translation. `settings` puts them
together; a test holds the catalogue against every setting of every tool that can be tuned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_CORNERS = dict.fromkeys(("ignore", "part", "rois", "white"), ("x1", "y1", "x2", "y2"))
_AT = dict.fromkeys(("start", "end", "centre"), ("x", "y"))
_SAME = _CORNERS | _AT | {"lab": ("L*", "a*", "b*")}
PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": _SAME
    | {
        "area": ("smallest", "largest"),
        "round": ("least", "greatest"),
        "long": ("least", "greatest"),
        "unsure": ("from", "to"),
        "every": ("width", "height"),
    },
    "zh": _SAME
    | {
        "area": ("最小", "最大"),
        "round": ("最小", "最大"),
        "long": ("最小", "最大"),
        "unsure": ("起", "止"),
        "every": ("宽", "高"),
    },
}
"""What each number of a row is, by the row's key; of others, which one it is."""

KEYS_ZH: Mapping[str, str] = {
    "arc": "圆弧",
    "area": "面积",
    "area_at_most": "单处面积上限",
    "area_px": "忽略面积（像素）",
    "around_px": "周围区域边长（像素）",
    "at_least": "下限",
    "at_most": "上限",
    "calipers": "卡尺数量",
    "centre": "圆心",
    "clipped": "过曝比例",
    "closer": "再次查找的边长（像素）",
    "contrast": "对比度",
    "contrast_at_least": "对比度下限",
    "counts": "数量规则",
    "date": "日期",
    "decodability": "可译码度",
    "defects": "缺陷度",
    "dot_matrix": "点阵印字",
    "each": "逐个规则",
    "edge": "计入触边斑点",
    "edge_contrast": "边缘反差",
    "edge_px": "边缘余量（像素）",
    "end": "终点",
    "end_deg": "终止角（度）",
    "every": "逐个检查的尺寸",
    "exactly": "恰好",
    "expect": "应有内容",
    "extra_at_most": "多墨比例上限",
    "features": "几何特征",
    "good_from": "合格得分下限",
    "gs1": "须为 GS1 码",
    "guarded": "收紧公差",
    "height": "高度",
    "high": "亮度上限",
    "ignore": "忽略区域",
    "iou": "重叠度",
    "join_px": "合并间距（像素）",
    "lab": "颜色 Lab",
    "least_px": "最少像素数",
    "length_at_most": "长度上限",
    "level": "灰度阈值",
    "light": "补偿光照",
    "lines": "字行",
    "long": "长宽比",
    "low": "亮度下限",
    "margin_px": "标注框外扩（像素）",
    "margins": "各标签外扩（像素）",
    "matrix": "颜色矩阵",
    "measures": "测量项",
    "min_score": "最低得分",
    "missing_at_most": "缺墨比例上限",
    "modulation": "调制比",
    "not_after_days": "最晚天数",
    "not_before_days": "最早天数",
    "off_deg": "角度偏差上限（度）",
    "off_px": "位置偏差上限（像素）",
    "part": "工件范围",
    "persistent": "反复尝试",
    "quality": "印刷质量",
    "radius": "半径",
    "reach": "搜索范围（像素）",
    "rim_px": "边缘不判宽度（像素）",
    "roi": "区域",
    "rois": "多个区域",
    "round": "圆度",
    "scale": "缩放范围",
    "score": "得分下限",
    "serial": "须含序列号",
    "settle_px": "对位范围（像素）",
    "shelf_days": "保质期（天）",
    "side": "图像长边（像素）",
    "size_px": "尺寸（像素）",
    "spread": "亮度离散上限",
    "start": "起点",
    "start_deg": "起始角（度）",
    "symbol_contrast": "符号反差",
    "targets": "目标颜色",
    "thick_px": "最小厚度（像素）",
    "threshold": "阈值",
    "thresholds": "各标签阈值",
    "tolerance": "灰度容差",
    "tolerances": "尺寸规则",
    "total_at_least": "总面积下限",
    "total_at_most": "总面积上限",
    "trace_px": "导线追踪范围（像素）",
    "try_harder": "加强读取",
    "turn_deg": "转角范围（度）",
    "unsure": "不确定区间",
    "unused_correction": "未使用的纠错",
    "verify": "字符质量",
    "white": "白色参考块",
    "white_l": "参考块亮度 L*",
    "width": "宽度（像素）",
    "width_at_most": "宽度上限",
}
"""Every key under which a number, a yes-or-no or an area stands."""

HELP: Sequence[tuple[str, str]] = (
    ("(17) lies at least this many days ahead of today.", "有效期 (17) 至少在今天之后这么多天。"),
    ("4π area / perimeter²: 1 is a circle, near 0 a thread.",
     "4π × 面积 ÷ 周长²：圆为 1，细线接近 0。"),
    ("A difference is none from this score of the model's class good on. 1 dismisses hardly "
     "any.",
     "模型给“合格”类的得分达到此值时，该差异不算差异；取 1 几乎全部保留。"),
    ("A line whose least certain character is below this is unreadable.",
     "最不确定的字符低于此得分时，该行视为无法读取。"),
    ("A part whose middle stands further than this from where it was taught is rejected.",
     "工件中心偏离示教位置超过此值时剔除。"),
    ("A patch of neutral white or grey that stands still in the frame, also for a step that "
     "follows a part; without it the camera's white balance is trusted.",
     "画面中固定不动的中性白或灰色块，跟随工件的工具也用它；不设时采用相机自身的白平衡。"),
    ("A piece's diameter, or its shorter side.", "单个物件的直径或短边。"),
    ("Also looks for turned, inverted and small codes; off saves time where codes stand "
     "upright.",
     "也查找旋转、反色和很小的条码；条码总是正放时可关闭以节省时间。"),
    ("Area of all places together, in px² or mm².", "所有位置的总面积，单位 px² 或 mm²。"),
    ("At most; the others are at least.", "此项为上限，其余各项为下限。"),
    ("By label, where it differs.", "按标签单独设定的值。"),
    ("By label, where that differs from margin_px: what grows onto a conductor, or bites into "
     "one, goes on where the two pictures are the same.",
     "按标签单独设定的外扩：长到导线上或咬入导线的差异，在两幅图像相同处仍会延续。"),
    ("Contrast, as a share of the taught one.", "对比度与示教时之比。"),
    ("Differences nearer to each other than this are one.", "间距小于此值的差异合为一处。"),
    ("Differences that are thinner than this everywhere are the play of edges; so is what is "
     "thinner of others, but within join_px of where they are thick.",
     "处处薄于此值的差异是边缘的正常波动；"
     "其余差异中较薄的部分也是，但距其较厚处 join_px 以内的除外。"),
    ("Differences that come nearer than this to the rim of what is compared are none: what goes "
     "on beyond it is not seen. 0 judges them too; so is a tenth of the picture and more.",
     "距比较范围边缘小于此值的差异不计：边缘以外看不到。0 表示也判定；"
     "达到图像十分之一及以上的差异也判定。"),
    ("Edges may be off by this much.", "边缘允许偏移的量。"),
    ("Every code must hold a valid GS1 element string, encoded with FNC1 in front, or one in"
     " brackets, or a GS1 Digital Link.",
     "每个条码都必须是有效的 GS1 数据串（以 FNC1 开头）、带括号的数据串或 GS1 Digital Link。"),
    ("Fewer codes than this reject the part.", "条码少于此数时剔除工件。"),
    ("For what must be there, such as a bead of glue.", "用于必须存在的对象，例如胶条。"),
    ("Found from this likeness on. A part hidden by 40 % still has 0.55 and more, another "
     "product 0.2 and less.",
     "相似度达到此值即为找到。被遮挡 40 % 的工件仍有 0.55 以上，其他产品在 0.2 以下。"),
    ("From the camera's linear RGB, white made good, to sRGB's; each row adds up to 1.",
     "由相机的线性 RGB（白平衡后）换算到 sRGB 的矩阵；每行之和为 1。"),
    ("Greatest standard deviation of the patch: a part or dirt in front of it is seen by "
     "this.",
     "参考块亮度的最大标准差：由此发现前面的工件或污物。"),
    ("Greatest ΔE 2000; 1 is just seen side by side, 3 at a second look.",
     "ΔE 2000 的上限；1 并排时刚可察觉，3 细看可察觉。"),
    ("Grey levels by which a pixel may differ.", "单个像素允许的灰度差。"),
    ("Grey levels by which objects differ; with otsu, where both tones are nearer to each "
     "other than this, there is nothing.",
     "物体与周围的灰度差；用 otsu 时，两种灰度比此值更接近则视为没有物体。"),
    ("Grey levels of the faintest step that counts.", "能算作边缘的最小灰度阶跃。"),
    ("How far a finding's box reaches beyond what differs.", "标注框超出差异范围的量。"),
    ("How far around a difference conductors are followed to name it.",
     "为差异命名时沿导线追踪的距离。"),
    ("How far from the taught line it may be, in pixels.", "允许偏离示教线的像素数。"),
    ("How many places there may be, however small.", "允许的处数，不论大小。"),
    ("Ink where none belongs, as a share of the character's own.",
     "不该有墨处的墨量与字符自身墨量之比。"),
    ("Instead of the step's roi: several places, each judged by itself.",
     "代替工具的区域：多个位置，分别判定。"),
    ("Instead of the step's roi: the tiles of a large picture, which may overlap; what lies "
     "across a seam is one place. Not for instances.",
     "代替工具的区域：大图的分块，可以重叠；跨接缝的视为一处。不用于实例分割。"),
    ("Instead of the step's `roi`: several places, or the tiles of a large picture, each "
     "brought to the model's size. A model whose batch is free sees all of them in one run.",
     "代替工具的区域：多个位置或大图的分块，各自缩放到模型的尺寸；批量可变的模型一次看完全部"
     "。"),
    ("Items this near to the left or right end of the ROI are half seen, so not judged.",
     "离区域左右两端这么近的目标只看到一半，不作判定。"),
    ("L*, a*, b* (D65) that it must have; a finding's text gives what it has.",
     "应有的 L*、a*、b*（D65）；检测结果中给出实际值。"),
    ("Length over width.", "长与宽之比。"),
    ("Looked for at 1 ± scale of its size.", "在原尺寸的 1 ± 此值范围内查找。"),
    ("Looked for turned by at most this, either way.", "向两个方向各在此角度内查找。"),
    ("Makes good for lighter or dimmer light, over the whole picture.",
     "补偿整幅图像的明暗变化。"),
    ("More than this many rejects the part; null is any number.",
     "多于此数时剔除工件；留空则不限。"),
    ("Narrows the limits of lengths by the scale's uncertainty, so that what passes does "
     "conform (ISO 14253-1).",
     "按标定的不确定度收紧长度公差，使合格者确实合格（ISO 14253-1）。"),
    ("Of each place, in px² or mm²; a larger one is a defect …",
     "每一处的面积，单位 px² 或 mm²；更大的为缺陷。"),
    ("Of the band that is unrolled, in pixels: the characters and some margin.",
     "展开的环带高度，单位像素：字符加少许余量。"),
    ("Of the circle through the middle of the characters, in pixels.",
     "穿过字符中线的圆的半径，单位像素。"),
    ("Parts that score this and more are rejected. 0.5 is the limit that was taught: the "
     "bank's report says how many good parts it rejects. Higher lets more pass.",
     "得分达到此值的工件被剔除。0.5 是示教得出的界限，示教报告给出它会剔除多少合格件；取值越"
     "高，通过的越多。"),
    ("Pixels across that are averaged: along the edge.", "沿边缘方向取平均的像素数。"),
    ("Places of fewer pixels are noise.", "像素数更少的位置视为噪声。"),
    ("Places of the golden picture that may differ: print, a date.",
     "标准图像上允许不同的位置，例如印字、日期。"),
    ("Raw heads of instances: two boxes of one class that overlap more than this are one.",
     "实例分割的原始输出：同类的两框重叠超过此值时合为一个。"),
    ("Score from which a detection counts.", "检测目标的得分达到此值才计入。"),
    ("Score from which a pixel (or an instance) counts.", "像素（或实例）的得分达到此值才计入。"),
    ("Share of a character's ink that may be missing.", "字符允许缺失的墨量比例。"),
    ("Share of over-exposed pixels from which a colour is not known; 0.02 when left out. "
     "More may be where it is only asked whether something is white at all.",
     "过曝像素达到此比例时颜色无法确定；不设时为 0.02。只需判断是否为白色时可取更大。"),
    ("Smaller differences are noise.", "更小的差异视为噪声。"),
    ("Smallest and largest area that counts, in square pixels.",
     "计入的最小和最大面积，单位平方像素。"),
    ("The band of scores in which nothing is certain, and the part is rejected as unsure. "
     "Softmax: of all defects' scores together. Sigmoid: of each class that a rule names.",
     "得分在此区间内无法确定，工件按不确定剔除。Softmax：所有缺陷得分之和；Sigmoid：规则所列"
     "的每一类。"),
    ("The code must carry a serial number (21).", "条码必须带有序列号 (21)。"),
    ("The date is at least this many days ahead.", "日期至少在这么多天之后。"),
    ("The part in it: edges that every good part has; the whole picture when left out.",
     "其中的工件：每个合格件都有的轮廓；不设时为整幅图像。"),
    ("The part may stand this many pixels off (beyond what follow has made good): it is "
     "brought onto the golden picture by its edges. 0 leaves it as it stands.",
     "工件可偏离这么多像素（跟随补偿之外）：按轮廓对到标准图像上。0 为不对位。"),
    ("The patch's L*, from its certificate.", "参考块证书上的 L*。"),
    ("The print may be dots: each line is read narrowed and with its dots run together, and "
     "the surer reading counts. Takes twice as long; `find` does it anyway where it finds "
     "nothing.",
     "印字可能是点阵：每行压窄并连接各点后再读一次，取更确定的结果。用时加倍；`find` 找不到"
     "文字时会自动这样做。"),
    ("The print says when it was made; it expires this many days later, and the bounds "
     "above are about that day.",
     "印字为生产日期，这么多天后到期；上面的期限指到期日。"),
    ("Two boxes of one class that overlap more than this are one: in raw heads, and where "
     "`rois` overlap.",
     "同类的两框重叠超过此值时合为一个：用于模型的原始输出和重叠的区域。"),
    ("Where fewer than at_least were read without doubt, looks again: at the picture calmed, "
     "enlarged, evenly lit, at strips across whatever is striped, their blur undone, and at what "
     "numbers would look like there. Takes up to 60 times as long, but only then.",
     "可靠读出的条码不足时再次尝试：去噪、放大、匀光，对条状区域去模糊后再读，"
     "并与数字在该处应有的样子比对。此时用时最多为 60 倍，平时不受影响。"),
    ("Where the line begins, in degrees clockwise from the top …",
     "字行起点的角度，自正上方顺时针计。"),
    ("Whether spots that touch the ROI's edge count.", "是否计入触及区域边缘的斑点。"),
    ("With golden: normalised correlation from which it is a piece.",
     "有标准图像时：归一化相关系数达到此值即为一个物件。"),
    ("`find`: the picture's longer side is scaled down to this, in pixels.",
     "`find`：图像长边缩小到此像素数。"),
    ("`find`: the sides at which it is looked again, one after the other, until every line "
     "that has a rule is read without doubt.",
     "`find`：依次以这些边长再次查找，直到每个有规则的字行都可靠读出。"),
    ("fixed: objects are below it (dark) or above it (bright).",
     "fixed：物体低于此灰度（暗）或高于此灰度（亮）。"),
    ("local: side of the surroundings; larger than two objects.",
     "local：周围区域的边长，应大于两个物体。"),
    ("x, y in pixels; behind a followed step in those it was taught in.",
     "x、y，单位像素；跟随其他工具时为示教图像中的坐标。"),
    ("… and a thicker one (the largest circle in it).", "更粗的为缺陷（以内含最大圆计）。"),
    ("… and where it ends: beyond the start in the direction of reading.",
     "字行终点的角度：沿阅读方向在起点之后。"),
    ("… or is turned by more than this.", "转角超过此值时剔除。"),
    ("… so is a longer one (the longer side of the smallest rectangle around it) …",
     "更长的为缺陷（以最小外接矩形的长边计）。"),
)  # fmt: skip
"""What the tools' code says of a setting, and the same in Chinese."""
