// Applies a chosen theme before the first paint, and says that script runs. Not a module: modules run too late.
document.documentElement.classList.add('js');
try {
  const theme = localStorage.getItem('theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch { /* storage is off: the system's choice holds */ }
