//! Writes man/ and completions/ (`make docs`). A test compares them with what the code says.

mod render;

fn main() -> std::io::Result<()> {
    for (path, content) in render::manual_pages().into_iter().chain(render::completions()) {
        let file = render::project(&path);
        std::fs::create_dir_all(file.parent().expect("a directory"))?;
        std::fs::write(file, content)?;
    }
    Ok(())
}
