//! Personas from files, as a user would write them.

use super::*;
use PersonaErrorKind::*;
use std::fs;
use tempfile::TempDir;

#[test]
fn a059_the_shipped_council_is_mary_john_winston_james_and_maat() {
    let roster = Roster::new(Persona::shipped()).unwrap();
    assert_eq!(names(&roster.personas), ["Mary", "John", "Winston", "James"]);
    assert_eq!((roster.judge.name.as_str(), roster.judge.role.as_str()), ("Maat", "judge"));
}

#[test]
fn a059_the_shipped_personas_are_whole_brief_and_plain() {
    for persona in Persona::shipped() {
        let prompt = persona.prompt();
        let words = prompt.split_whitespace().count();
        assert!((120..=260).contains(&words), "{}: {words} words", persona.name);
        assert!(persona.title.is_some() && persona.rules.is_some() && persona.voice.is_some());
        assert!(prompt.is_ascii() && persona.soul.starts_with(&format!("You are {},", persona.name)));
    }
}

#[test]
fn a059_the_shipped_files_load_as_a_folder_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("personas");
    let mut shipped = Persona::shipped();
    shipped.sort_by(|one, other| one.name.cmp(&other.name));
    let loaded = Persona::load_dir(&folder).unwrap();
    let loaded: Vec<_> = loaded.into_iter().map(|persona| Persona { origin: None, ..persona }).collect();
    assert_eq!(loaded, shipped);
}

#[test]
fn a060_a_file_and_a_folder_make_the_same_persona() {
    let dir = tree(&[
        (
            "ada.md",
            "\u{feff}---\r\nname: Ada\r\ntitle: compiler engineer\r\nweight: 2\r\n---\r\n# Ada\r\n\r\n## RULES\r\nBe exact.\r\n\r\n## Soul:\r\nYou are Ada.\r\n## voice ##\r\nDry.\r\n",
        ),
        (
            "ada2/soul.md",
            "---\nname: Ada\ntitle: compiler engineer\nweight: 2\n---\n# Soul\n\nYou are Ada.\n",
        ),
        ("ada2/Rules.MD", "Be exact.\n"),
        ("ada2/VOICE.md", "## Voice\nDry.\n"),
        ("ada2/NOTES.md", "not a part"),
    ]);
    let [file, folder]: [Persona; 2] = Persona::load_dir(dir.path()).unwrap().try_into().unwrap();
    assert_eq!(
        file.prompt(),
        "# Ada, compiler engineer\n\n## Soul\n\nYou are Ada.\n\n## Rules\n\nBe exact.\n\n## Voice\n\nDry.\n"
    );
    assert_eq!(folder.origin.as_deref(), Some(dir.path().join("ada2").as_path()));
    assert_eq!(Persona { origin: None, ..file }, Persona { origin: None, ..folder });
}

#[test]
fn a060_rules_and_voice_may_be_missing() {
    let dir = tree(&[("plain.md", "You are plain.\n"), ("short/SOUL.md", "You are short.\n")]);
    let personas = Persona::load_dir(dir.path()).unwrap();
    assert_eq!(names(&personas), ["Plain", "Short"]);
    assert_eq!(personas[0].prompt(), "# Plain\n\n## Soul\n\nYou are plain.\n");
    assert_eq!((&personas[1].rules, &personas[1].voice), (&None, &None));
}

#[test]
fn a060_a_persona_without_a_soul_is_named() {
    for (file, text) in [
        ("ada.md", ""),
        ("ada.md", "# Ada\n\n## Rules\nBe exact.\n"),
        ("ada.md", "before\n## Soul\n\n## Rules\nBe exact.\n"),
        ("ada/RULES.md", "Be exact."),
        ("ada/SOUL.md", "# Soul\n"),
    ] {
        let error = load_error(&[(file, text)]);
        assert_eq!(error.kind(), NoSoul, "{file}: {error}");
        assert!(error.to_string().contains("ada") && error.to_string().contains("soul"), "{error}");
    }
}

#[test]
fn a060_a_tree_of_folders_loads_as_it_is() {
    let dir = tree(&[
        ("persona/apex/party/Seshat/SOUL.md", "You are Seshat.\n"),
        ("persona/apex/party/Seshat/RULES.md", "---\nCount twice.\n"),
        ("persona/apex/party/maat/SOUL.md", "You weigh.\n"),
        ("persona/apex/party/ptah/SOUL.md", "You build.\n"),
        ("persona/apex/party/ptah/old/SOUL.md", "Not looked at.\n"),
        ("persona/apex/party/README.md", "About these.\n"),
        ("persona/apex/party/.git/config", ""),
        ("persona/apex/party/notes.txt", "no persona"),
    ]);
    let personas = Persona::load_dir(&dir.path().join("persona/apex/party")).unwrap();
    assert_eq!(names(&personas), ["Maat", "Ptah", "Seshat"]);
    assert_eq!(personas[2].rules.as_deref(), Some("---\nCount twice."));
    let roster = Roster::new(personas).unwrap();
    assert_eq!((names(&roster.personas), roster.judge.name.as_str()), (vec!["Ptah", "Seshat"], "Maat"));
}

#[test]
fn a060_headings_of_the_text_stay_in_their_section() {
    let text =
        "## Soul\nYou are Ada.\n### Rules\nof thumb\n```\n## Voice\n```\n## Habits\nTea.\n## Rules\nExact.\n";
    let dir = tree(&[("ada.md", text)]);
    let personas = Persona::load_dir(dir.path()).unwrap();
    assert_eq!(personas[0].soul, "You are Ada.\n### Rules\nof thumb\n```\n## Voice\n```\n## Habits\nTea.");
    assert_eq!((personas[0].rules.as_deref(), &personas[0].voice), (Some("Exact."), &None));
}

#[test]
fn a061_a_removed_file_removes_the_persona_and_the_judge_must_stay() {
    let dir = tree(&[("ada.md", "Soul."), ("bob.md", "Soul."), ("judge.md", "Soul.")]);
    fs::remove_file(dir.path().join("bob.md")).unwrap();
    let roster = Roster::new(Persona::load_dir(dir.path()).unwrap()).unwrap();
    assert_eq!(names(&roster.personas), ["Ada"]);
    fs::remove_file(dir.path().join("judge.md")).unwrap();
    let error = Roster::new(Persona::load_dir(dir.path()).unwrap()).unwrap_err();
    assert_eq!(error.kind(), NoJudge);
    assert!(error.to_string().ends_with("found: Ada"), "{error}");
    let error = Roster::new(Vec::new()).unwrap_err();
    assert_eq!(error.parts().iter().map(PersonaError::kind).collect::<Vec<_>>(), [NoPersonas, NoJudge]);
}

#[test]
fn a061_two_judges_and_two_of_one_name_are_refused_with_their_files() {
    let dir = tree(&[
        ("maat.md", "Soul."),
        ("themis.md", "---\nrole: judge\n---\nSoul."),
        ("ada.md", "Soul."),
        ("ada2.md", "---\nname: ADA\n---\nSoul."),
    ]);
    let error = Roster::new(Persona::load_dir(dir.path()).unwrap()).unwrap_err();
    assert_eq!(error.parts().iter().map(PersonaError::kind).collect::<Vec<_>>(), [DuplicateName, TwoJudges]);
    for file in ["maat.md", "themis.md", "ada.md", "ada2.md"] {
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[test]
fn a061_what_the_front_matter_says_goes_before_the_file_name() {
    let dir = tree(&[("maat.md", "---\nrole: persona\nname: Ma'at\n---\nSoul.")]);
    let personas = Persona::load_dir(dir.path()).unwrap();
    assert_eq!((names(&personas), personas[0].role), (vec!["Ma'at"], PersonaRole::Persona));
}

#[test]
fn a062_a_selection_keeps_the_order_in_which_it_names() {
    let roster = Roster::new(Persona::shipped()).unwrap().select(&["JAMES", " mary "]).unwrap();
    assert_eq!((names(&roster.personas), roster.judge.name.as_str()), (vec!["James", "Mary"], "Maat"));
}

#[test]
fn a062_an_unknown_name_lists_the_known() {
    let error = select_error(&["mary", "bob", "", "eve\n"]);
    assert_eq!(error.kind(), UnknownPersona);
    assert_eq!(error.to_string(), "unknown persona `bob`, ``, `eve`; known: Mary, John, Winston, James");
    assert_eq!(select_error(&["mary", "Mary"]).kind(), DuplicateName);
    assert_eq!(select_error(&[]).kind(), NoPersonas);
}

#[test]
fn a056_the_judge_cannot_be_selected() {
    let error = select_error(&["mary", "maat"]);
    assert_eq!(error.kind(), JudgeSelected);
    let expected = "`maat` is the judge, who takes part in any case; name others: Mary, John, Winston, James";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn bad_front_matter_is_told_with_file_line_and_key() {
    for (front, line, key) in [
        ("name: Ada\ntitel: x", 3, "titel"),
        ("weight: heavy", 2, "weight"),
        ("name: Ada\nweight: -1", 3, "weight"),
        ("weight: .nan", 2, "weight"),
        ("\nrole: boss", 3, "role"),
        ("model: [a, b]", 2, "model"),
        ("name: Ada\ntitle: \"a\\nb\"", 3, "title"),
        ("name: Ada\nname: Eve", 3, "name"),
        ("- Ada", 2, ""),
        ("name: 'Ada", 3, ""),
        ("a: &x [*x, *x]", 2, "a"),
    ] {
        let error = load_error(&[("ada.md", &format!("---\n{front}\n---\nSoul."))]);
        let told = error.to_string();
        assert_eq!(error.kind(), BadFrontMatter, "{told}");
        assert!(told.contains(&format!("ada.md line {line}: ")) && told.contains(key), "{front:?}: {told}");
        assert!(!told.contains("Options") && !told.contains('\n') && told.len() < 400, "{told}");
    }
    assert!(load_error(&[("ada.md", "---\nname: Ada\nSoul.")]).to_string().contains("not closed"));
}

#[test]
fn a_name_that_cannot_be_used_is_refused() {
    for name in ["''", "'a, b'", "\"a\\nb\"", &"x".repeat(65)] {
        let error = load_error(&[("ada.md", &format!("---\nname: {name}\n---\nSoul."))]);
        assert_eq!(error.kind(), BadName, "{error}");
    }
}

#[test]
fn files_that_are_no_texts_are_refused_by_name() {
    for (bytes, kind) in [
        (&b"soul \xff"[..], InvalidText),
        (&b"soul\n\0"[..], InvalidText),
        (&vec![b'x'; 256 * 1024 + 1][..], TooLarge),
    ] {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("ada.md"), bytes).unwrap();
        let error = Persona::load_dir(dir.path()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("ada.md"), "{error}");
    }
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("ada.md"), vec![b'x'; 256 * 1024]).unwrap();
    assert_eq!(Persona::load_dir(dir.path()).unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_or_round_are_refused_by_name() {
    use std::os::unix::fs::symlink;
    for (name, target) in [("ada.md", "ada.md"), ("ada.md", "gone"), ("ada", "ada"), ("ada", ".")] {
        let dir = tree(&[("bob.md", "Soul.")]);
        symlink(target, dir.path().join(name)).unwrap();
        let error = Persona::load_dir(dir.path()).unwrap_err();
        assert!(matches!(error.kind(), Unreadable | NoSoul), "{error}");
        assert!(error.to_string().contains("ada"), "{error}");
    }
    let dir = tree(&[("bob.md", "Soul.")]);
    symlink("bob.md", dir.path().join("linked.md")).unwrap();
    symlink("/dev/zero", dir.path().join("zero.md")).unwrap();
    let error = Persona::load_dir(dir.path()).unwrap_err();
    assert!(error.to_string().ends_with("zero.md is not a regular file"), "{error}");
}

#[test]
fn sections_that_stand_twice_are_refused() {
    let twice = load_error(&[("ada.md", "## Soul\na\n## soul\nb\n")]);
    assert_eq!(twice.kind(), DuplicateSection);
    #[cfg(target_os = "linux")]
    assert_eq!(load_error(&[("ada/SOUL.md", "a"), ("ada/soul.md", "b")]).kind(), DuplicateSection);
}

#[test]
fn every_broken_persona_is_reported() {
    let error =
        load_error(&[("ada.md", ""), ("bob.md", "Soul."), ("eve/RULES.md", "x"), ("zoe.md", "---\n")]);
    assert_eq!(error.kind(), Several);
    let kinds: Vec<_> = error.parts().iter().map(PersonaError::kind).collect();
    assert_eq!(kinds, [NoSoul, NoSoul, BadFrontMatter]);
    for name in ["ada.md", "eve", "zoe.md line 1"] {
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_missing_folder_is_named() {
    let dir = tree(&[("file", "")]);
    for (name, why) in [("gone", "does not exist"), ("file", "is not a folder")] {
        let error = Persona::load_dir(&dir.path().join(name)).unwrap_err();
        assert_eq!(error.kind(), MissingFolder);
        assert!(error.to_string().ends_with(&format!("{name} {why}")), "{error}");
    }
}

#[test]
fn an_empty_folder_holds_nobody() {
    assert_eq!(Persona::load_dir(TempDir::new().unwrap().path()).unwrap(), []);
}

/// A folder with these files.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn load_error(files: &[(&str, &str)]) -> PersonaError {
    Persona::load_dir(tree(files).path()).unwrap_err()
}

fn select_error(names: &[&str]) -> PersonaError {
    Roster::new(Persona::shipped()).unwrap().select(names).unwrap_err()
}

fn names(personas: &[Persona]) -> Vec<&str> {
    personas.iter().map(|persona| persona.name.as_str()).collect()
}
