// Extracts the code samples of the numbered seed documents at run time.
//
// A sample starts at an import line (Python, JavaScript) or a curl line (shell) and runs on while
// brackets or strings are open or the next line still looks like code of the same language.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const GATEWAY = /\{AI_GATEWAY_URL\}|http:\/\/localhost:8080(?!\d)/g;
const LABEL = /^(Python|JavaScript|TypeScript|Node(\.js)?|cURL|Shell|Bash)\b|\bSDK\b/;
const HEADING = /^(cURL|[A-Z][^.,:;]{1,58}[^.,:;\s])$/;

const START = {
  python: /^(import\s+[\w.]+(\s+as\s+\w+)?(\s*,\s*[\w.]+)*|from\s+[\w.]+\s+import\s+[\w(*].*)$/,
  javascript: /^(import\s.+\sfrom\s+["'][^"']+["'];?|(const|let|var)\s.+=\s*require\(.*)$/,
  shell: /^curl\s/,
};

const CODE = {
  python: [
    START.python,
    /^([#@)\]}]|["']{3})/,
    /^(async\s+)?(if|elif|else|for|while|with|try|except|finally|def|class)\b.*:(\s*#.*)?$/,
    /^(break|continue|pass|return|raise|(return|raise|await|del|assert)\s+[\w.]+(\(.*)?)$/,
    /^[A-Za-z_][\w.]*(\[[^\]]*\])?(\s*:\s*[\w.[\]]+)?\s*[-+*/|]?=(?!=)/,
    /^[A-Za-z_][\w.]*[([]/,
  ],
  javascript: [
    START.javascript,
    /^(\/\/|\/\*|[)\]}])/,
    /^(import|export|const|let|var|if|else|for|while|do|try|await|return|break|continue|function|async|class|throw|switch)\b.*[;{([,]$/,
    /^[A-Za-z_$][\w$.]*(\(|\s*[-+]?=(?!=))/,
  ],
  shell: [],
};

const OPENS = ['if', 'elif', 'else', 'for', 'while', 'with', 'try', 'except', 'finally', 'def', 'class'];
const LEAVES = ['break', 'continue', 'return', 'raise', 'pass'];
const CONTINUES = {
  elif: ['if', 'elif'],
  else: ['if', 'elif', 'for', 'while', 'except'],
  except: ['try', 'except'],
  finally: ['try', 'except', 'else'],
};

const NOTHING_OPEN = { depth: 0, quote: '', escaped: false };

// Reads one line: what stays open after it, its text without comment, and (`cut`) where text of the
// page is glued to the end of the code, or -1.
function scan(line, before, language) {
  let { depth, quote } = before;
  let fromBefore = quote !== '';
  let end = line.length;
  const open = (cut, escaped = false) => ({ depth, quote, escaped, cut, text: line.slice(0, end).trim() });
  const glued = (at) => /[A-Za-z]/.test(line[at] ?? '');
  for (let i = 0; i < line.length; i++) {
    const c = line[i];
    if (quote) {
      if (c === '\\' && !(language === 'shell' && quote === "'")) i++;
      else if (line.startsWith(quote, i)) {
        i += quote.length - 1;
        quote = '';
        if (language === 'shell' && fromBefore && glued(i + 1)) return open(i + 1);
        fromBefore = false;
      }
      continue;
    }
    const comment = language === 'javascript' ? line.startsWith('//', i) : c === '#';
    if (comment && (i === 0 || /[\s;,)}\]]/.test(line[i - 1]))) {
      end = i;
      break;
    }
    if (`"'\``.includes(c)) {
      quote = language === 'python' && line.startsWith(c.repeat(3), i) ? c.repeat(3) : c;
      i += quote.length - 1;
    } else if (language === 'shell') continue;
    else if ('([{'.includes(c)) depth++;
    else if (')]}'.includes(c)) {
      depth--;
      if (depth === 0 && c === ')' && glued(i + 1)) return open(i + 1);
    }
  }
  const multiLine = language === 'shell' || quote.length === 3 || quote === '`';
  if (!multiLine) quote = '';
  return open(-1, end === line.length && line.endsWith('\\'));
}

const isOpen = (state) => state.depth > 0 || state.quote !== '' || state.escaped;

// Splits a document into pieces in order: {text} for a line of the page, {code, language, line} for a sample.
function split(document) {
  const lines = document.replace(/\u00a0/g, ' ').replace(/[\u200b\ufeff]/g, '').split(/\r?\n/);
  const pieces = [];
  for (let i = 0; i < lines.length; i++) {
    const language = Object.keys(START).find((name) => START[name].test(lines[i]));
    if (!language) {
      if (lines[i].trim()) pieces.push({ text: lines[i].trim() });
      continue;
    }
    const line = i + 1;
    const body = [];
    let state = NOTHING_OPEN;
    let glued = '';
    for (; i < lines.length && !glued; i++) {
      const text = lines[i].trim();
      const again = START[language].test(lines[i]) && body.includes(lines[i]);
      const fits = body.length === 0 || text === '' || CODE[language].some((rule) => rule.test(text));
      if (!isOpen(state) && (again || !fits)) break;
      state = scan(lines[i], state, language);
      if (state.cut >= 0) glued = lines[i].slice(state.cut).trim();
      body.push(state.cut >= 0 ? lines[i].slice(0, state.cut) : lines[i]);
    }
    i--;
    pieces.push({ code: body.join('\n').trimEnd() + '\n', language, line });
    if (glued) pieces.push({ text: glued });
  }
  return pieces;
}

// Gives Python code its indentation back. Code that still has an indentation of two or more spaces is
// left alone. Otherwise an unindented line is at the top level (unless no line is indented at all); an
// indented one is in the innermost open block, which a leaving statement (break, return ...) closes;
// else, elif, except and finally go to the innermost block that they can continue.
export function restoreIndentation(code) {
  if (/^ {2,}\S/m.test(code)) return code;
  const informative = /^ \S/m.test(code);
  const blocks = [];
  let state = NOTHING_OPEN;
  let keyword;
  const restore = (line) => {
    const text = line.trim();
    const before = state;
    state = scan(line, before, 'python');
    if (before.quote) return line;
    if (text === '') return '';
    if (!isOpen(before)) {
      keyword = text.match(/^(?:async\s+)?([a-z]+)\b/)?.[1];
      const continued = CONTINUES[keyword];
      if (informative && !line.startsWith(' ')) blocks.splice(continued ? 1 : 0);
      const at = continued ? blocks.findLastIndex((block) => continued.includes(block.keyword)) : -1;
      if (at >= 0) blocks.length = at;
      else while (blocks.at(-1)?.left) blocks.pop();
    }
    const closers = text.match(/^[)\]}]*/)[0].length;
    const level = Math.max(0, blocks.length + before.depth - closers);
    if (!isOpen(state)) {
      if (OPENS.includes(keyword) && state.text.endsWith(':')) blocks.push({ keyword, left: false });
      else if (LEAVES.includes(keyword) && blocks.length) blocks.at(-1).left = true;
    }
    return '    '.repeat(level) + text;
  };
  return code.split('\n').map(restore).join('\n');
}

// Titles and sections. A heading with text below it is the section of the samples that follow it, also
// of those below later headings that have nothing but code; the introduction (all before the first
// sample) is no such section. `label` is the line that names the language or SDK, if there is one.
function describe(pieces) {
  let [title, parent, label] = ['', '', ''];
  const found = [];
  pieces.forEach((piece, i) => {
    const next = pieces[i + 1];
    if (piece.code) {
      found.push({ language: piece.language, title, section: parent || title, label, line: piece.line, code: piece.code });
      label = '';
    } else if (HEADING.test(piece.text) && LABEL.test(piece.text) && next?.code) label = piece.text;
    else if (HEADING.test(piece.text)) {
      title = piece.text;
      const codeBelow = next?.code || (LABEL.test(next?.text) && pieces[i + 2]?.code);
      if (!codeBelow) parent = found.length ? title : '';
    }
  });
  return found;
}

export function samples(seedDir, gatewayUrl, seeds = ['000', '001', '002', '003']) {
  const base = gatewayUrl.replace(/\/+$/, '');
  const files = readdirSync(seedDir).filter((name) => seeds.some((seed) => name.startsWith(`${seed}_`))).sort();
  return files.flatMap((file) =>
    describe(split(readFileSync(join(seedDir, file), 'utf8'))).map((sample, index) => {
      const code = sample.language === 'python' ? restoreIndentation(sample.code) : sample.code;
      return { seed: file.slice(0, 3), index, ...sample, code: code.replace(GATEWAY, () => base) };
    }));
}

// The section that a sample of the list is in, e.g. 'Setup' or 'Async Inference'.
export function sectionOf(list, seed, index) {
  return list.find((sample) => sample.seed === seed && sample.index === index)?.section;
}

// The samples with the given fields, e.g. select(list, { section: 'Setup', language: 'python' }).
export function select(list, fields) {
  return list.filter((sample) => Object.entries(fields).every(([name, value]) => sample[name] === value));
}
