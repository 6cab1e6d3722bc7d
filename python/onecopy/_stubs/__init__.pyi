"""Parts of the stub of `_onecopy`, which the extension itself does not have: only type checkers read them."""
