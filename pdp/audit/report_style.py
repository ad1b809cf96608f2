"""How the access review looks, on a screen and on paper."""

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f27;--soft:#566070;--line:#e1e5eb;--page:#f5f6f8;--card:#fff;--allow:#1a7f52;
--deny:#b93a32;--warn:#8f5800;--track:#edf0f4;--head:#fafbfc;--good:#e8f5ee;--bad:#fdecea;--note:#fff6e5}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e8eaee;--soft:#9aa4b2;--line:#2c323c;--page:#14171c;
--card:#1c2027;--allow:#4cc38a;--deny:#f2776d;--warn:#e0a545;--track:#2a303a;--head:#21262e;--good:#173226;
--bad:#3b1d1b;--note:#33291a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:1200px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:28px;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:18px;margin:40px 0 12px;overflow-wrap:anywhere;break-after:avoid}
h2 small{font-weight:400;font-size:14px}
p{margin:0;color:var(--soft)}a{color:inherit;text-decoration-color:var(--soft);text-underline-offset:3px}
.verdict{margin:20px 0 0;padding:10px 16px;border-radius:10px;border:1px solid;
color:var(--allow);background:var(--good)}
.verdict.bad{color:var(--deny);background:var(--bad);font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(6,1fr);gap:12px;margin:16px 0 0}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px}.tile{padding:12px 16px}
.tile b{display:block;font-size:24px;font-variant-numeric:tabular-nums;line-height:1.25}
.tile span{color:var(--soft);font-size:13px}
.allow{color:var(--allow)}.deny{color:var(--deny)}.warn{color:var(--warn)}.zero{color:var(--soft)}
.card{overflow-x:auto}.empty{margin-top:28px;padding:28px 16px;text-align:center;color:var(--soft)}
table{border-collapse:collapse;width:100%}
th,td{padding:7px 12px;text-align:left;border-top:1px solid var(--line);vertical-align:top}
thead th{border-top:0;background:var(--head);font-weight:600;font-size:12px;color:var(--soft);white-space:nowrap}
tbody tr:hover td{background:var(--head)}
tfoot td{font-weight:600;border-top:2px solid var(--line)}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.id{min-width:17em;max-width:26em;overflow-wrap:anywhere}.words{min-width:11em;overflow-wrap:anywhere}
.when{white-space:nowrap;color:var(--soft);font-size:12.5px;font-variant-numeric:tabular-nums}
code{font:12.5px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
small{font-size:12px;color:var(--soft)}small.warn{color:var(--warn)}
.word{display:inline-block;max-width:100%;margin-right:10px}
.bar{display:flex;height:8px;width:90px;border-radius:4px;overflow:hidden;background:var(--track);margin-top:6px}
.bar i{background:var(--allow)}.bar i+i{background:var(--deny)}
.signoff{display:none}footer{margin-top:40px;font-size:13px}
@media screen and (max-width:820px){main{padding:24px 14px 48px}.tiles{grid-template-columns:repeat(3,1fr)}}
@media screen and (max-width:460px){.tiles{grid-template-columns:repeat(2,1fr)}}
@page{size:A4 landscape;margin:12mm 12mm 14mm;@bottom-right{content:"Page " counter(page) " of " counter(pages);
font:9px sans-serif;color:#566070}}
@media print{
:root{color-scheme:light}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{background:#fff;font-size:10.5px}main{max-width:none;padding:0}
h1{font-size:20px}h2{font-size:14px;margin:22px 0 8px}h2 small{font-size:11px}
.card{overflow:visible;border-radius:0;border-width:1px 0}
.tile{border-radius:4px;padding:6px 10px}.tile b{font-size:16px}
.tile span,small,.when,thead th{font-size:9px}code{font-size:9.5px}th,td{padding:4px 8px}
thead{display:table-header-group}tfoot{display:table-row-group}tr,.tile,.verdict,.signoff{break-inside:avoid}
.id{min-width:180px}.words{min-width:0}.bar{width:60px}footer{font-size:10px}a{text-decoration:none}
.signoff{display:grid;grid-template-columns:2fr 2fr 1fr;gap:24px;margin-top:40px}
.signoff span{border-top:1px solid var(--ink);padding-top:4px;color:var(--soft)}}
"""
