// Runs before the page is painted: says that scripts work, so that parts made for both ways show the right one.
document.documentElement.classList.add("js");
