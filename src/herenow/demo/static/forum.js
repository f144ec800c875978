// The live parts anew every few seconds, without a reload: the same page is asked for, and its parts put in
// place. It counts as being here, for it is a request like any other. A page that nobody looks at stops.
const seconds = Number(document.currentScript.dataset.seconds)

async function look() {
  if (document.hidden) return
  let fresh
  try {
    fresh = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html")
  } catch {
    document.body.dataset.away = "The forum does not answer."
    return
  }
  delete document.body.dataset.away
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`)
    if (!next || next.innerHTML === part.innerHTML || part.contains(document.activeElement)) continue
    part.className = next.className
    part.innerHTML = next.innerHTML
  }
}

setInterval(look, seconds * 1000)
document.addEventListener("visibilitychange", look)
