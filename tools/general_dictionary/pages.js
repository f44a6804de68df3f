// The pages that the general dictionary is trained on: widgets of many kinds, in the classes of many style sheets.

/** Numbers from 0 to 1 that only depend on the seed. */
export function randomOf(seed) {
  let state = seed + 1
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const WORDS =
  `account activity add address all amount and archive at available back balance billing by cancel cart category change
  checkout close code comment company confirm contact continue copy create currency customer daily dashboard data date
  delete delivery description details discount download draft edit email empty enter error export failed favourite file
  filter find first for free from general help history home image import in inbox invoice item language last learn level
  list loading location login logout manage member message method monthly more name new next no not note notification
  number of offer on open option or order overview owner page paid password payment pending percent phone plan please
  post previous price privacy product profile project published quantity question read recent refund remove reply report
  request required reset result return review role sale save search security select send sent session settings share
  shipping show sign size sort start status stock subscribe success summary support table task team terms text thank the
  this time title to today total transfer type unit update upload user value version view visit was week welcome with
  yesterday you your`.split(/\s+/)

// What a framework calls the parts of a page. A part that it does not name has no class.
const bootstrap = {
  nav: 'navbar navbar-expand-lg navbar-light bg-light', brand: 'navbar-brand', menu: 'navbar-nav me-auto mb-2 mb-lg-0',
  menuItem: 'nav-item', link: 'nav-link', main: 'container-fluid py-4', grid: 'row g-3', cell: 'col-sm-6 col-lg-3 mb-3',
  card: 'card h-100 shadow-sm', cardBody: 'card-body', cardTitle: 'card-title h5', text: 'card-text text-muted small',
  button: 'btn btn-primary btn-sm', other: 'btn btn-outline-secondary', table: 'table table-striped table-hover align-middle',
  badge: 'badge bg-success rounded-pill', field: 'mb-3', label: 'form-label', input: 'form-control', select: 'form-select',
  check: 'form-check-input', alert: 'alert alert-warning alert-dismissible fade show', list: 'list-group list-group-flush',
  listItem: 'list-group-item d-flex justify-content-between align-items-center', pages: 'pagination', page: 'page-item',
  pageLink: 'page-link', progress: 'progress', bar: 'progress-bar', dialog: 'modal fade', footer: 'footer mt-auto py-3',
}
const CLASSES = {
  bootstrap,
  tailwind: {
    nav: 'sticky top-0 z-10 flex items-center justify-between border-b border-gray-200 bg-white px-4 py-3 sm:px-6',
    brand: 'text-lg font-semibold text-gray-900', menu: 'flex space-x-4', link: 'rounded-md px-3 py-2 text-sm font-medium text-gray-700 hover:bg-gray-100',
    main: 'mx-auto max-w-7xl px-4 py-8 sm:px-6 lg:px-8', grid: 'grid grid-cols-1 gap-6 sm:grid-cols-2 lg:grid-cols-4',
    card: 'overflow-hidden rounded-lg bg-white shadow transition-shadow hover:shadow-md', cardBody: 'p-4', cardTitle: 'text-base font-medium text-gray-900',
    text: 'mt-1 text-sm text-gray-500', button: 'inline-flex items-center rounded-md bg-indigo-600 px-4 py-2 text-sm font-medium text-white hover:bg-indigo-700 focus:outline-none focus:ring-2 focus:ring-indigo-500 focus:ring-offset-2 disabled:opacity-50',
    other: 'inline-flex items-center rounded-md border border-gray-300 px-3 py-2 text-sm', table: 'min-w-full divide-y divide-gray-200 text-left text-sm',
    badge: 'inline-flex rounded-full bg-green-100 px-2 text-xs font-semibold leading-5 text-green-800', field: 'mb-4', label: 'block text-sm font-medium text-gray-700',
    input: 'mt-1 block w-full rounded-md border-gray-300 shadow-sm focus:border-indigo-500 focus:ring-indigo-500 sm:text-sm',
    select: 'mt-1 block w-full rounded-md border border-gray-300 py-2 pl-3 pr-10', check: 'h-4 w-4 rounded border-gray-300 text-indigo-600',
    alert: 'flex rounded-md bg-yellow-50 p-4 text-yellow-700', list: 'divide-y divide-gray-200', listItem: 'flex justify-between py-4',
    pages: 'flex items-center space-x-2', progress: 'h-2 w-full rounded-full bg-gray-200', bar: 'h-2 rounded-full bg-blue-600',
    dialog: 'fixed inset-0 hidden bg-black bg-opacity-50', footer: 'mt-12 border-t bg-gray-50 py-6 text-center text-xs dark:bg-gray-800',
  },
  none: {},
}

/** The style sheets of a page, as paths in node_modules, and whose classes the page has. */
export const THEMES = [
  ...['', '@fortawesome/fontawesome-free/css/all.min.css', 'datatables.net-bs5/css/dataTables.bootstrap5.min.css'].map((more) => ({
    classes: 'bootstrap', styles: ['bootstrap/dist/css/bootstrap.min.css', ...(more ? [more] : [])],
  })),
  { classes: 'bootstrap', styles: ['bootstrap-4/dist/css/bootstrap.min.css', 'select2/dist/css/select2.min.css', '@fortawesome/fontawesome-free/css/all.min.css'] },
  { classes: 'bootstrap', styles: ['bootstrap-3/dist/css/bootstrap.min.css', 'jquery-ui-dist/jquery-ui.min.css'] },
  { classes: 'tailwind', styles: ['tailwind.css'] },
  { classes: 'tailwind', styles: ['tailwind.css', 'react-toastify/dist/ReactToastify.css', 'swiper/swiper-bundle.min.css'] },
  { classes: 'none', styles: ['normalize.css/normalize.css', 'highlight.js/styles/github.min.css', 'leaflet/dist/leaflet.css', 'quill/dist/quill.snow.css'] },
  { classes: 'none', styles: ['animate.css/animate.min.css', 'slick-carousel/slick/slick.css', 'slick-carousel/slick/slick-theme.css', 'flatpickr/dist/flatpickr.min.css'] },
  { classes: 'none', styles: ['sweetalert2/dist/sweetalert2.min.css'], app: 'mui' },
  { classes: 'none', styles: [], app: 'antd' },
]

const KINDS = ['dashboard', 'shop', 'table', 'form', 'article', 'board']

/** The HTML of a page. */
export function pageOf(theme, number, seed) {
  const random = randomOf(seed)
  const pick = (list) => list[Math.floor(random() * list.length)]
  const words = (count) => Array.from({ length: count }, () => pick(WORDS)).join(' ')
  const title = (count) => words(count).replace(/^./, (letter) => letter.toUpperCase())
  const times = (count, make) => Array.from({ length: count }, (_, i) => make(i)).join('\n')
  const names = CLASSES[theme.classes]
  const el = (tag, part, content, more = '') => `<${tag}${names[part] ? ` class="${names[part]}"` : ''}${more}>${content}</${tag}>`
  const icon = () => `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M${times(6, () => `${Math.floor(random() * 24)} ${Math.floor(random() * 24)}L`)}12 12"></path><circle cx="12" cy="12" r="${Math.ceil(random() * 9)}"></circle></svg>`
  const row = (cells, tag = 'td') => `<tr>${times(cells, () => `<${tag}>${random() < 0.4 ? (random() * 1000).toFixed(2) : title(2)}</${tag}>`)}<td>${el('span', 'badge', pick(['Active', 'Paid', 'Pending', 'Open', 'Failed']))}</td></tr>`
  const parts = {
    cards: () => el('div', 'grid', times(8, () => el('div', 'cell', el('div', 'card', `${icon()}${el('div', 'cardBody', `${el('h5', 'cardTitle', title(2))}${el('p', 'text', title(12))}<strong>$${(random() * 300).toFixed(2)}</strong>${el('button', 'button', pick(['Add to cart', 'Open', 'Learn more']), ' type="button"')}`)}`)))),
    table: () => el('table', 'table', `<thead>${row(5, 'th')}</thead><tbody>${times(20, () => row(5))}</tbody>`),
    form: () => `<form onsubmit="return false">${times(6, (i) => el('div', 'field', `${el('label', 'label', title(2), ` for="field-${i}"`)}${el('input', 'input', '', ` type="${pick(['text', 'email', 'password', 'number', 'search', 'date'])}" id="field-${i}" name="${pick(WORDS)}" placeholder="${title(2)}" autocomplete="off"`).replace('</input>', '')}`))}${el('select', 'select', times(5, () => `<option value="${pick(WORDS)}">${title(1)}</option>`))}<label><input type="checkbox" class="${names.check ?? ''}"> ${title(4)}</label>${el('textarea', 'input', '', ' rows="3"')}${el('button', 'button', 'Save', ' type="submit"')}${el('button', 'other', 'Cancel', ' type="button"')}</form>`,
    chart: () => `<svg width="600" height="200" viewBox="0 0 600 200" role="img"><g class="axis" stroke="#ccc">${times(5, (i) => `<line x1="0" x2="600" y1="${i * 40}" y2="${i * 40}"></line><text x="4" y="${i * 40}" font-size="10" fill="#666">${i * 20}</text>`)}</g>${times(24, (i) => `<rect x="${i * 25}" y="${Math.floor(random() * 200)}" width="20" height="${Math.floor(random() * 200)}" fill="#4e79a7"></rect>`)}</svg><canvas width="300" height="150"></canvas>`,
    list: () => el('ul', 'list', times(8, () => el('li', 'listItem', `<a href="/${pick(WORDS)}/${Math.floor(random() * 9999)}">${title(4)}</a>${el('span', 'badge', Math.floor(random() * 99))}`))),
    text: () => `<article>${times(5, () => `<h2 id="${pick(WORDS)}-${pick(WORDS)}">${title(4)}</h2>${times(3, () => `<p>${title(50)}. <a href="https://www.${pick(WORDS)}.test/">${title(2)}</a> ${words(20)}.</p>`)}<pre><code>const ${pick(WORDS)} = await fetch('/api/${pick(WORDS)}')</code></pre>`)}</article>`,
    alert: () => el('div', 'alert', `${icon()} ${title(8)}`, ' role="alert"') + el('div', 'progress', el('div', 'bar', '', ` role="progressbar" style="width: ${Math.floor(random() * 100)}%;" aria-valuenow="25" aria-valuemin="0" aria-valuemax="100"`)),
    pages: () => `<nav aria-label="Pages">${el('ul', 'pages', times(5, (i) => el('li', 'page', el('a', 'pageLink', i + 1, ` href="?page=${i + 1}"`))))}</nav>`,
  }
  const kind = KINDS[number % KINDS.length]
  const shown = {
    dashboard: ['alert', 'cards', 'chart', 'table'], shop: ['cards', 'cards', 'pages'], table: ['form', 'table', 'pages'],
    form: ['alert', 'form', 'form'], article: ['text', 'list', 'text'], board: ['list', 'cards', 'list', 'chart'],
  }[kind]
  return `<!DOCTYPE html>
<html lang="en" data-bs-theme="light"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title(3)}</title><meta name="description" content="${title(12)}"><meta property="og:title" content="${title(3)}"><meta property="og:type" content="website">
<link rel="icon" type="image/png" href="/favicon.ico"><link rel="preconnect" href="https://fonts.googleapis.com">
${theme.styles.map((path) => `<link rel="stylesheet" href="/npm/${path}">`).join('\n')}
<script src="/npm/posthog-js/dist/array.full.js"></script><script src="/page.js"></script>
</head><body>
${el('nav', 'nav', `${el('a', 'brand', title(1), ' href="/"')}${el('ul', 'menu', times(6, () => el('li', 'menuItem', el('a', 'link', title(1), ` href="/${pick(WORDS)}"`))))}`)}
${el('main', 'main', `<h1>${title(2)}</h1><div id="root"></div>${shown.map((part) => parts[part]()).join('\n')}`)}
${el('div', 'dialog', `<div role="dialog" aria-modal="true">${title(9)}</div>`, ' tabindex="-1" aria-hidden="true" id="dialog"')}
${el('footer', 'footer', `<p>© 2026 ${title(2)}. All rights reserved.</p>`)}
${theme.app ? `<script src="/${theme.app}.js"></script>` : ''}
</body></html>`
}
