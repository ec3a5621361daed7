"""How the page at `/docs` looks: in the colours that the reader's system has, light or dark."""

STYLE = """
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 18%,transparent);
--soft:color-mix(in srgb,currentColor 7%,transparent)}
*{box-sizing:border-box}
body{margin:0;font:15px/1.55 system-ui,sans-serif;display:grid;grid-template-columns:20rem minmax(0,1fr)}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1rem;border-right:1px solid var(--line);font-size:13px}
nav ul{list-style:none;margin:.2rem 0 .8rem;padding:0}nav li a{display:block;padding:.1rem .4rem;border-radius:4px}
nav li a:hover{background:var(--soft)}nav h1{font-size:1.1rem}small{opacity:.6;font-weight:400}
nav b{display:inline-block;min-width:3.6rem;font:600 11px ui-monospace,monospace;opacity:.65}
main{padding:1rem 2rem 6rem;max-width:62rem}a{color:inherit}nav a{text-decoration:none}
h2{margin:3rem 0 .5rem;border-bottom:1px solid var(--line)}
section{margin:1rem 0;padding:.7rem 1rem;border:1px solid var(--line);border-radius:8px}
section:target{outline:2px solid Highlight}h3{margin:0;font-size:1rem}h3 b{font:600 12px ui-monospace,monospace}
h3 em{font-weight:400;opacity:.6}section p{margin:.4rem 0}
code{font:13px ui-monospace,monospace;background:var(--soft);padding:.05em .3em;border-radius:4px;
overflow-wrap:anywhere}
h3 code{background:none;font-size:15px}dl{margin:.4rem 0 0;display:grid;grid-template-columns:auto 1fr;gap:.2rem 1rem}
dt{opacity:.7}dd{margin:0}section>div{overflow-x:auto}table{border-collapse:collapse;width:100%}
td{padding:.3rem .8rem .3rem 0;border-top:1px solid var(--line);vertical-align:top}
td:first-child{white-space:nowrap}
@media(max-width:50rem){body{display:block}nav{position:static;height:auto;border:0}main{padding:1rem}}
"""
